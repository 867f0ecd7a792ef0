import { expect, test } from 'vitest';
import { runDetailSchema, runListSchema } from '../../../src/dashboard/api/run.ts';
import { makeDetail, makeMachines, makeRun, makeRuns, NOW } from './fixture-run.ts';

test('what is made up is what the server could say', () => {
  expect(() => runListSchema.parse({ now: NOW, runs: makeRuns() })).not.toThrow();
  expect(() => runDetailSchema.parse(makeDetail(makeRun(), makeMachines(60)))).not.toThrow();
});
