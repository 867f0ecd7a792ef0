import { expect, test } from 'vitest';
import { logEvent } from '../../src/cli/log-events.ts';
import type { RunEvent } from '../../src/domain/events.ts';
import type { Log } from '../../src/log.ts';

const error = { code: 'target-denied', message: 'no right', retryable: false, context: {} } as const;
const step = { type: 'step', run: 'r', machine: 'm', step: 'upload/0', try: 2, error } as const;

test.each<[RunEvent, string[]]>([
  [{ ...step, state: 'failed' }, ['error', 'upload/0 of m in r failed: no right']],
  [{ ...step, state: 'retrying' }, ['warn', 'upload/0 of m in r is tried again (try 2): no right']],
  [{ ...step, state: 'done', error: null }, []],
  [{ type: 'machine', run: 'r', machine: 'm', status: 'failed', error }, ['error', 'm in r: failed']],
  [{ type: 'machine', run: 'r', machine: 'm', status: 'landed', error: null }, ['info', 'm in r: landed']],
])('%j is told as %j', (event, said) => {
  const told: string[] = [];
  const log: Log = (level, message) => void told.push(level, message);
  logEvent(log, event);
  expect(told).toEqual(said);
});
