/** What operators do from a page, over real HTTP and a real Redis. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { outcomeSchema, type Preview, previewSchema } from '../../src/dashboard/api/action.ts';
import type { MachineRecord } from '../../src/domain/machine-record.ts';
import type { Wave } from '../../src/domain/wave.ts';
import { makeRecords, makeRun, makeWave } from '../fakes/records.ts';
import { type DashboardSite, openDashboardSite } from './dashboard-site.ts';

let site: DashboardSite;

beforeAll(async () => {
  site = await openDashboardSite();
});
afterAll(async () => {
  expect(site.faults).toEqual([]);
  await site[Symbol.asyncDispose]();
});
beforeEach(async () => {
  await site.app.state.redis.flushall();
});

const ERROR = { code: 'import-failed', message: 'AWS gave up', retryable: false, context: {} } as const;
const HOUR = 3_600_000;

async function begin(
  id: string,
  names: string[],
  of: { wave?: Partial<Wave>; record?: (record: MachineRecord) => Partial<MachineRecord> } = {},
): Promise<void> {
  const now = Date.now();
  const wave = { ...makeWave(`wave-${id}`, names), ...of.wave };
  const window = wave.window === null ? null : { opensAt: now + HOUR, closesAt: now + 6 * HOUR };
  const run = { ...makeRun(id, wave), window };
  const records = makeRecords(run).map((record) => ({ ...record, ...of.record?.(record) }));
  await site.app.state.runs.create(run, records);
  await site.app.conductor.advanceRun(id);
}

const failed = (record: MachineRecord): Partial<MachineRecord> =>
  record.machine.name === 'db01'
    ? { status: 'failed', error: ERROR, startedAt: 1, endedAt: 2, steps: failedAt(record, 'import') }
    : {
        status: 'landed',
        startedAt: 1,
        landing: { kind: 'instance', id: 'i-1', ref: {} },
        steps: admitted(record),
      };

function failedAt({ steps }: MachineRecord, key: string): MachineRecord['steps'] {
  const step = steps[key];
  if (step === undefined) throw new Error(key);
  return { ...steps, [key]: { ...step, state: 'failed', error: ERROR } };
}

function admitted({ steps }: MachineRecord): MachineRecord['steps'] {
  const { admit } = steps;
  if (admit === undefined) throw new Error('no admit');
  return { ...steps, admit: { ...admit, state: 'done', startedAt: 1, endedAt: 2 } };
}

async function preview(run: string, action: object): Promise<Preview> {
  const { status, body } = await site.post(`/api/runs/${run}/preview`, action);
  expect(status).toBe(200);
  return previewSchema.parse(body);
}

const act = (run: string, deed: object) =>
  site.post(`/api/runs/${run}/actions`, { reason: 'change 4711', ...deed });

async function statusOf(run: string, machine: string): Promise<string | undefined> {
  return (await site.app.state.machines.get(run, machine))?.status;
}

async function lastDeed(run: string): Promise<unknown> {
  for await (const event of site.app.state.events.readBack(run, '+'))
    if (event.type === 'operator') return event;
  return null;
}

const WINDOW = {
  kind: 'once',
  timezone: 'UTC',
  rollbackSeconds: 600,
  opens: '2026-11-28T22:00',
  closes: '2026-11-29T04:00',
} as const;

describe('an action', () => {
  it('is done in the name of whoever is logged in, with its reason', async () => {
    await begin('r1', ['web01', 'web02']);
    const on = { kind: 'machines', names: ['web01'] };
    expect((await preview('r1', { action: 'cancel', on })).machines).toEqual(['web01']);
    const { status, body } = await act('r1', { action: 'cancel', on });
    expect(status).toBe(200);
    expect(outcomeSchema.parse(body)).toEqual({ message: '1 machine is cancelled.', changed: ['web01'] });
    expect(await statusOf('r1', 'web01')).toBe('cancelled');
    expect(await statusOf('r1', 'web02')).toBe('moving');
    expect(await lastDeed('r1')).toMatchObject({
      action: 'cancel',
      machine: 'web01',
      by: 'ada@ops',
      reason: 'change 4711',
    });
  });

  it('is not done without a reason', async () => {
    await begin('r2', ['web01']);
    const { status, body } = await act('r2', { action: 'hold', on: { kind: 'run' }, reason: '  ' });
    expect(status).toBe(400);
    expect(body).toMatchObject({ error: { code: 'usage', message: expect.stringContaining('reason') } });
    expect((await site.app.state.runs.get('r2'))?.hold).toBeNull();
  });

  it('is refused for a machine that the run does not have, whatever its name', async () => {
    await begin('r3', ['web01']);
    const names = ['web01', '<img src=x onerror=alert(1)>'];
    const { status, body } = await act('r3', { action: 'cancel', on: { kind: 'machines', names } });
    expect(status).toBe(404);
    expect(body).toMatchObject({ error: { code: 'not-found' } });
    expect(await statusOf('r3', 'web01')).toBe('moving');
  });

  it('of a run as a whole is refused for single machines', async () => {
    await begin('r4', ['web01']);
    const on = { kind: 'machines', names: ['web01'] };
    expect((await act('r4', { action: 'approve', on })).status).toBe(400);
  });

  it('of a stale page meets the refusal of its operation, and changes nothing', async () => {
    await begin('r5', ['web01'], {
      record: () => ({ status: 'landed', startedAt: 1, endedAt: 2 }),
    });
    const { status, body } = await act('r5', { action: 'hold', on: { kind: 'run' } });
    expect(status).toBe(409);
    expect(body).toMatchObject({
      error: { code: 'conflict', message: expect.stringContaining('it has ended (landed)') },
    });
    const cancelled = await act('r5', { action: 'cancel', on: { kind: 'all' } });
    expect(cancelled.body).toEqual({ message: 'Nothing was on the move.', changed: [] });
  });
});

describe('hold and release', () => {
  it('of a run are previewed with what they stop and let go on', async () => {
    await begin('r6', ['web01', 'web02']);
    const held = await preview('r6', { action: 'hold', on: { kind: 'run' } });
    expect(held).toMatchObject({ refusal: null, isReversible: true, machines: [] });
    expect(held.consequences.join(' ')).toContain('2 machines are on the move');
    await act('r6', { action: 'hold', on: { kind: 'run' } });
    expect((await site.app.state.runs.get('r6'))?.hold).toMatchObject({
      by: 'ada@ops',
      reason: 'change 4711',
    });
    expect((await preview('r6', { action: 'hold', on: { kind: 'run' } })).refusal).toContain('held already');
    expect((await preview('r6', { action: 'release', on: { kind: 'run' } })).refusal).toBeNull();
    await act('r6', { action: 'release', on: { kind: 'run' } });
    expect((await site.app.state.runs.get('r6'))?.hold).toBeNull();
  });

  it('previews change nothing', async () => {
    await begin('r7', ['web01']);
    const before = await site.app.state.events.newestId('r7');
    for (const action of ['hold', 'release', 'cancel', 'retry', 'rollback', 'commit'])
      for (const kind of ['run', 'all', 'failing']) await preview('r7', { action, on: { kind } });
    expect(await site.app.state.events.newestId('r7')).toBe(before);
    expect(await statusOf('r7', 'web01')).toBe('moving');
  });
});

describe('retry', () => {
  it('of all that failed tries those again, and says which', async () => {
    await begin('r8', ['db01', 'web01'], { record: failed });
    const seen = await preview('r8', { action: 'retry', on: { kind: 'failing' } });
    expect(seen).toMatchObject({ machines: ['db01'], refusal: null });
    expect(seen.consequences[0]).toBe(
      '1 machine is tried again from the step that failed; what is done stays done.',
    );
    expect((await act('r8', { action: 'retry', on: { kind: 'failing' } })).body).toMatchObject({
      changed: ['db01'],
    });
    expect(await statusOf('r8', 'db01')).toBe('moving');
  });

  it('is refused where nothing failed', async () => {
    await begin('r9', ['web01']);
    const seen = await preview('r9', { action: 'retry', on: { kind: 'failing' } });
    expect(seen.refusal).toContain('nothing to try again');
  });
});

describe('rollback', () => {
  it('of what landed says first what is lost, and is refused until that is said', async () => {
    await begin('r10', ['db01', 'web01'], { record: failed });
    const on = { kind: 'machines', names: ['web01'] };
    const careful = await preview('r10', { action: 'rollback', on });
    expect(careful.refusal).toContain('may be in service');
    expect((await act('r10', { action: 'rollback', on })).status).toBe(409);
    const meant = await preview('r10', { action: 'rollback', on, discardsLandingData: true });
    expect(meant).toMatchObject({ refusal: null, isReversible: false, machines: ['web01'] });
    expect(meant.consequences[0]).toContain('What was written there since it landed is deleted: web01');
    const done = await act('r10', { action: 'rollback', on, discardsLandingData: true });
    expect(done.body).toMatchObject({ changed: ['web01'] });
    expect(await statusOf('r10', 'web01')).toBe('rolling-back');
  });

  it('names what is left behind without what it came after', async () => {
    const wave = makeWave('w', ['db01', 'web01']);
    const machines = wave.machines.map((each) =>
      each.name === 'web01' ? { ...each, after: ['db01'] } : each,
    );
    await begin('r11', ['db01', 'web01'], {
      wave: { machines },
      record: () => ({ status: 'landed', startedAt: 1, after: [] }),
    });
    const on = { kind: 'machines', names: ['db01'] };
    const seen = await preview('r11', { action: 'rollback', on, discardsLandingData: true });
    expect(seen.consequences.at(-1)).toMatch(/^web01 came after what goes back, and stays/);
  });
});

describe('approve and cutover', () => {
  it('say what begins, and when', async () => {
    await begin('r12', ['web01'], { wave: { window: WINDOW, isApprovalRequired: true } });
    const seen = await preview('r12', { action: 'approve', on: { kind: 'run' } });
    expect(seen).toMatchObject({ refusal: null, isReversible: false });
    expect(seen.consequences[0]).toMatch(/^Nothing moves before its window opens/);
    expect((await act('r12', { action: 'approve', on: { kind: 'run' } })).status).toBe(200);
    expect((await site.app.state.runs.get('r12'))?.approval).toMatchObject({ by: 'ada@ops' });
    expect((await preview('r12', { action: 'approve', on: { kind: 'run' } })).refusal).toContain(
      'approved already',
    );
    const open = await preview('r12', { action: 'cutover', on: { kind: 'run' } });
    expect(open.consequences[0]).toBe(
      '1 machine is moved, at most 1 at once, in the order that the wave says.',
    );
    expect((await act('r12', { action: 'cutover', on: { kind: 'run' } })).status).toBe(200);
    expect(await statusOf('r12', 'web01')).toBe('moving');
  });

  it('are refused where nothing is to be approved or opened', async () => {
    await begin('r13', ['web01']);
    expect((await preview('r13', { action: 'approve', on: { kind: 'run' } })).refusal).toContain(
      'no approval',
    );
    expect((await preview('r13', { action: 'cutover', on: { kind: 'run' } })).refusal).toContain('window');
    expect((await act('r13', { action: 'cutover', on: { kind: 'run' } })).status).toBe(409);
  });
});

describe('commit', () => {
  it('ends the way back of what landed, and leaves the rest', async () => {
    await begin('r14', ['db01', 'web01'], { record: failed });
    const seen = await preview('r14', { action: 'commit', on: { kind: 'all' } });
    expect(seen).toMatchObject({ machines: ['web01'], isReversible: false, refusal: null });
    expect((await act('r14', { action: 'commit', on: { kind: 'all' } })).body).toMatchObject({
      changed: ['web01'],
    });
    expect((await site.app.state.machines.get('r14', 'web01'))?.committedAt).toBeTypeOf('number');
    expect((await preview('r14', { action: 'commit', on: { kind: 'all' } })).refusal).toContain(
      'committed already',
    );
  });
});
