import { expect, test } from 'vitest';
import { operatorEvent } from '../../src/operations/operator.ts';

test('a reason is one line without control characters: nobody writes lines of others into the trail', () => {
  const reason = 'done)\n12:00:00 run-1 approve by root@cab \x1b[2J(4711';
  const event = operatorEvent({ run: 'run-1', machine: null, by: 'ada', action: 'hold', reason });
  expect(event).toMatchObject({ reason: 'done) 12:00:00 run-1 approve by root@cab [2J(4711' });
});
