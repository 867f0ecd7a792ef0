import { expect, test } from 'vitest';
import type { ErrorCode } from '../../src/domain/errors.ts';
import type { MachineRecord } from '../../src/domain/machine-record.ts';
import { adviseRetry } from '../../src/operations/retry-advice.ts';
import { createMachine, createRecord } from '../fakes/machine.ts';

function failedAt(name: string, key: string, code: ErrorCode): MachineRecord {
  const record = createRecord({ machine: createMachine({ name }) });
  const step = record.steps[key];
  if (step === undefined) throw new Error(`no step ${key}`);
  const error = { code, message: 'because', retryable: false, context: {} };
  return {
    ...record,
    status: 'failed',
    error,
    steps: { ...record.steps, [key]: { ...step, state: 'failed' } },
  };
}

const refused = failedAt('c1', 'upload/0', 'target-denied');
const changed = failedAt('c4', 'upload/0', 'source-changed');
const changedEarly = failedAt('c5', 'export/0', 'source-changed');

test('what failed is retried, also what changed while it was exported', () => {
  const advice = ['When the cause is mended: `landfall retry w --failed`'];
  expect(adviseRetry('w', [refused])).toEqual(advice);
  expect(adviseRetry('w', [refused, changedEarly])).toEqual(advice);
  expect(adviseRetry('w', [])).toEqual([]);
});

test('a source that changed under its copy is discarded before: a retry alone would fail again', () => {
  expect(adviseRetry('w', [changed])).toEqual([
    expect.stringMatching(/^c4 .*`landfall discard w c4`, then `landfall retry w c4`$/),
  ]);
  expect(adviseRetry('w', [refused, changed])).toEqual([
    expect.stringMatching(/^c4 .*`landfall discard w c4`/),
    'When the cause is mended, after that: `landfall retry w --failed`',
  ]);
});
