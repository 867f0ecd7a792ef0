/** Who may approve a run: where its wave says so, not whoever planned it. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { RunRecord } from '../../src/domain/run-record.ts';
import { startRun } from '../../src/operations/start-run.ts';
import type { SteerDeps } from '../../src/operations/steer.ts';
import { approveWholeRun } from '../../src/operations/steer-run.ts';
import { createConductor } from '../../src/queue/conductor.ts';
import { openQueues, type Queues } from '../../src/queue/queues.ts';
import { keys } from '../../src/state/keys.ts';
import type { RedisServer } from '../../src/state/redis-server.ts';
import { openState, type State } from '../../src/state/state.ts';
import { makeMachine, makeWave } from '../fakes/records.ts';
import { startTestRedis } from '../fakes/redis.ts';

let server: RedisServer;
let state: State;
let queues: Queues;

beforeAll(async () => {
  server = await startTestRedis();
  state = openState(server.url);
  queues = openQueues(server.url);
});
beforeEach(async () => void (await state.redis.flushall()));
afterAll(async () => {
  await queues[Symbol.asyncDispose]();
  await state[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

const as = (by: string): SteerDeps => ({ state, conductor: createConductor({ state, queues }), by });

async function plan(isApprovalByAnother: boolean): Promise<RunRecord> {
  const wave = { ...makeWave('w', ['a']), isApprovalRequired: true, isApprovalByAnother };
  const machines = wave.machines.map((planned) => ({ wave: planned, machine: makeMachine(planned.name) }));
  return await startRun({ wave, machines, findings: [], isControlled: false }, as('ann@host'));
}

test('whoever planned a run cannot approve it where its wave wants another, and nothing is told of it', async () => {
  const run = await plan(true);
  await expect(approveWholeRun({ run, reason: null }, as('ann@host'))).rejects.toMatchObject({
    code: 'conflict',
    message: expect.stringContaining('ann@host planned it, and wave w wants it approved by somebody else'),
  });
  const events = await Array.fromAsync(state.events.readAll(run.id, '0'));
  expect(events.filter((event) => event.type === 'operator' && event.action === 'approve')).toEqual([]);
  expect((await state.runs.get(run.id))?.status).toBe('scheduled');
});

test('anybody else can', async () => {
  const { run } = await approveWholeRun({ run: await plan(true), reason: null }, as('bob@host'));
  expect([run.plannedBy, run.approval?.by]).toEqual(['ann@host', 'bob@host']);
});

test('where the wave wants approval only, whoever planned the run can', async () => {
  const { run } = await approveWholeRun({ run: await plan(false), reason: null }, as('ann@host'));
  expect(run.approval?.by).toBe('ann@host');
});

test('of a run of an older Landfall nobody knows who planned it', async () => {
  const { plannedBy, ...older } = await plan(false);
  expect(plannedBy).toBe('ann@host');
  await state.redis.hset(keys.run(older.id), 'json', JSON.stringify(older), 'mark', 'another');
  expect((await state.runs.get(older.id))?.plannedBy).toBeNull();
});
