import { expect, test } from 'vitest';
import { FIRST_STEP, STEPS_OF_A_LANDING } from '../../tools/bench/control/control-job.ts';
import { makeControlRun } from '../../tools/bench/control/control-run.ts';
import { measureDeciding } from '../../tools/bench/control/deciding.ts';

test('the bench of control decides every machine to its landing, through all steps', () => {
  const run = makeControlRun({ id: 'r', machines: 200, movingAtOnce: 10, window: null, now: 1 });
  const { landed, decisions } = measureDeciding(run);
  expect(landed).toBe(200);
  // Two for each step, its begin and its end, and as many looks at the run; one and three for its start and its landing.
  expect(decisions).toBe(200 * (4 * STEPS_OF_A_LANDING.length + 4));
  expect(Object.keys(run.records[0]?.steps ?? {})[0]).toBe(FIRST_STEP);
});
