import { expect, test } from 'vitest';
import { auditListSchema } from '../../../src/dashboard/api/audit.ts';
import {
  consoleSchema,
  diskMapSchema,
  eventListSchema,
  machineDetailSchema,
} from '../../../src/dashboard/api/machine.ts';
import { runDetailSchema, runListSchema } from '../../../src/dashboard/api/run.ts';
import { workersSchema } from '../../../src/dashboard/api/workers.ts';
import { cutConsole, makeConsole } from './fixture-guest.ts';
import { makeDiskMap, makeEvents, makeMachineDetail } from './fixture-machine.ts';
import { makeDetail, makeMachines, makeRun, makeRuns, NOW } from './fixture-run.ts';
import { makeAudit, makeWorkers } from './fixture-workers.ts';

test('what is made up is what the server could say', () => {
  expect(() => runListSchema.parse({ now: NOW, runs: makeRuns() })).not.toThrow();
  expect(() => runDetailSchema.parse(makeDetail(makeRun(), makeMachines(60)))).not.toThrow();
});

test('so is what is made up of machines and workers', () => {
  for (const line of makeMachines(20))
    expect(() => machineDetailSchema.parse(makeMachineDetail(makeRun(), line))).not.toThrow();
  const events = { events: makeEvents('weekend-1', 'shop-001'), hasMore: false };
  expect(() => eventListSchema.parse(events)).not.toThrow();
  expect(() => diskMapSchema.parse(makeDiskMap('vda', 0.4))).not.toThrow();
  expect(() => consoleSchema.parse(cutConsole(makeConsole(10), null, false))).not.toThrow();
  expect(() => workersSchema.parse(makeWorkers(NOW, new Set(), new Map()))).not.toThrow();
  expect(() => auditListSchema.parse(makeAudit(NOW))).not.toThrow();
});
