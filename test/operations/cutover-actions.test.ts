import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { advanceMachine } from '../../src/domain/advance-machine.ts';
import { startMachine } from '../../src/domain/machine-changes.ts';
import { type MachineRecord, newMachineRecord } from '../../src/domain/machine-record.ts';
import type { SourceControl } from '../../src/domain/ports.ts';
import type { RunRecord } from '../../src/domain/run-record.ts';
import type { Wave } from '../../src/domain/wave.ts';
import type { WindowSpec } from '../../src/domain/window.ts';
import { archiveRun } from '../../src/operations/archive-run.ts';
import { commitMachines } from '../../src/operations/commit.ts';
import { type DiscardDeps, discardMachines } from '../../src/operations/discard.ts';
import { findRun } from '../../src/operations/find-run.ts';
import { findDependents, rollBackMachines } from '../../src/operations/roll-back.ts';
import { type Selection, selectMachines } from '../../src/operations/select-machines.ts';
import { sourcesOff } from '../../src/operations/sources-off.ts';
import { cancelMachines, holdMachines, releaseMachines, retryMachines } from '../../src/operations/steer.ts';
import {
  approveWholeRun,
  holdWholeRun,
  openWindowNow,
  releaseWholeRun,
} from '../../src/operations/steer-run.ts';
import { type Conductor, createConductor } from '../../src/queue/conductor.ts';
import { openQueues, type Queues } from '../../src/queue/queues.ts';
import type { RedisServer } from '../../src/state/redis-server.ts';
import { openState, type State } from '../../src/state/state.ts';
import { makeMachine, makeRun, makeWave, OPEN_VIEW } from '../fakes/records.ts';
import { startTestRedis } from '../fakes/redis.ts';

const HOUR = 3_600_000;
const SPEC: WindowSpec = {
  kind: 'once',
  timezone: 'Europe/Berlin',
  rollbackSeconds: 600,
  opens: '2030-01-05T22:00',
  closes: '2030-01-06T04:00',
};

let server: RedisServer;
let state: State;
let queues: Queues;
let conductor: Conductor;

beforeAll(async () => {
  server = await startTestRedis();
  state = openState(server.url);
});
beforeEach(async () => {
  await state.redis.flushall();
  queues = openQueues(server.url);
  conductor = createConductor({ state, queues });
  return () => queues[Symbol.asyncDispose]();
});
afterAll(async () => {
  await state[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

/** A run of machines with two disks each that their source can turn off. */
async function begin(
  machines: string[],
  over: {
    wave?: Partial<Wave>;
    run?: Partial<RunRecord>;
    record?: (record: MachineRecord) => MachineRecord;
  } = {},
): Promise<RunRecord> {
  const wave = { ...makeWave('w', machines), ...over.wave };
  const run = { ...makeRun('r1', wave), ...over.run };
  const records = wave.machines.map((plan, position) =>
    newMachineRecord({
      run: run.id,
      position,
      site: null,
      plan,
      machine: makeMachine(plan.name, 2),
      isControlled: true,
    }),
  );
  await state.runs.create(run, records.map(over.record ?? ((record) => record)));
  await conductor.advanceRun(run.id);
  return (await state.runs.get(run.id)) ?? run;
}

/** A window that opens in an hour, for two. */
async function beginScheduled(wave: Partial<Wave> = {}, opensInMs = HOUR): Promise<RunRecord> {
  const now = await state.clock.now();
  const window = { opensAt: now + opensInMs, closesAt: now + opensInMs + 2 * HOUR };
  return begin(['a', 'b'], { wave: { window: SPEC, ...wave }, run: { window, status: 'scheduled' } });
}

const landed = (record: MachineRecord): MachineRecord => ({
  ...record,
  status: 'landed',
  startedAt: 1,
  endedAt: 2,
  landing: { kind: 'aws-instance', id: 'i-1', ref: {} },
});

const deps = () => ({ state, conductor, by: 'ann@host' });
const select = async (selection: Selection = { kind: 'all' }): Promise<MachineRecord[]> =>
  selectMachines(state, await findRun(state, 'r1'), selection);
const one = (machine: string): Promise<MachineRecord[]> => select({ kind: 'machine', machine });

async function read(name: string): Promise<MachineRecord> {
  const record = await state.machines.get('r1', name);
  if (record === null) throw new Error('no record');
  return record;
}

async function trail(): Promise<string[]> {
  const events = await Array.fromAsync(state.events.readAll('r1', '0'));
  return events.flatMap((event) => {
    if (event.type !== 'operator') return [];
    return [`${event.machine ?? 'run'} ${event.action}${event.reason === null ? '' : ` (${event.reason})`}`];
  });
}

describe('holding a run', () => {
  test('lets nothing start until it is released; both are told once, with the reason', async () => {
    const run = await begin(['a', 'b'], { wave: { limits: { machines: 1, tries: 3 } } });
    expect((await holdWholeRun({ run, reason: 'storage' }, deps())).isChanged).toBe(true);
    expect((await holdWholeRun({ run, reason: 'again' }, deps())).isChanged).toBe(false);
    await cancelMachines({ run, machines: await one('a'), reason: null }, deps());
    expect((await read('b')).status).toBe('waiting');
    const released = await releaseWholeRun({ run, reason: null }, deps());
    expect(released).toMatchObject({ isChanged: true, run: { hold: null, status: 'running' } });
    expect((await read('b')).status).toBe('moving');
    expect(await trail()).toEqual(['run hold (storage)', 'a cancel', 'run release']);
  });
});

describe('holding machines', () => {
  test('keeps who and why, gives its place to others, and a release lets them go on', async () => {
    const run = await begin(['a', 'b'], { wave: { limits: { machines: 1, tries: 3 } } });
    expect(await holdMachines({ run, machines: await one('a'), reason: 'disk' }, deps())).toEqual(['a']);
    expect(await read('a')).toMatchObject({ status: 'held', hold: { reason: 'disk' } });
    expect((await read('b')).status).toBe('moving');
    expect(await holdMachines({ run, machines: await one('a'), reason: null }, deps())).toEqual([]);
    expect(await releaseMachines({ run, machines: await one('a'), reason: null }, deps())).toEqual(['a']);
    expect(await read('a')).toMatchObject({ status: 'waiting', hold: null });
  });
});

describe('approving', () => {
  test('is refused where nothing is to be approved', async () => {
    const run = await begin(['a']);
    await expect(approveWholeRun({ run, reason: null }, deps())).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining('asks for no approval'),
    });
  });

  test('lets the run begin, keeps who and when, and is idempotent', async () => {
    const run = await begin(['a'], { wave: { isApprovalRequired: true }, run: { status: 'scheduled' } });
    expect((await read('a')).status).toBe('waiting');
    const { run: approved } = await approveWholeRun({ run, reason: 'change 4711' }, deps());
    expect(approved.approval).toMatchObject({ reason: 'change 4711', by: 'ann@host' });
    expect((await read('a')).status).toBe('moving');
    expect((await approveWholeRun({ run: approved, reason: null }, deps())).isChanged).toBe(false);
    expect(await trail()).toEqual(['run approve (change 4711)']);
  });

  test('by two at once is recorded once', async () => {
    const run = await begin(['a'], { wave: { isApprovalRequired: true }, run: { status: 'scheduled' } });
    const both = await Promise.all([1, 2].map(() => approveWholeRun({ run, reason: null }, deps())));
    expect(both.filter(({ isChanged }) => isChanged)).toHaveLength(1);
    expect(await trail()).toEqual(['run approve']);
  });
});

describe('opening a window now', () => {
  test('starts what waits for it; it closes as planned', async () => {
    const run = await beginScheduled();
    const { run: opened } = await openWindowNow({ run, reason: null, closesAt: null }, deps());
    expect(opened.window?.closesAt).toBe(run.window?.closesAt);
    expect((await read('a')).status).toBe('moving');
    expect((await openWindowNow({ run: opened, reason: null, closesAt: null }, deps())).isChanged).toBe(
      false,
    );
  });

  test('can let it close at another time, but not so soon that no rollback fits', async () => {
    const run = await beginScheduled();
    const soon = (await state.clock.now()) + 300_000;
    const refused = openWindowNow({ run, reason: null, closesAt: soon }, deps());
    await expect(refused).rejects.toMatchObject({
      code: 'usage',
      message: expect.stringMatching(/a rollback takes 10 min 00 s/),
    });
    const { run: opened } = await openWindowNow({ run, reason: null, closesAt: soon + HOUR }, deps());
    expect(opened.window?.closesAt).toBe(soon + HOUR);
  });

  test('is refused where the wave has none', async () => {
    const run = await begin(['a']);
    const refused = openWindowNow({ run, reason: null, closesAt: null }, deps());
    await expect(refused).rejects.toMatchObject({ code: 'conflict' });
  });
});

describe('rolling back', () => {
  test('takes back what has begun, and keeps the rest from beginning in its place', async () => {
    const run = await begin(['a', 'b'], { wave: { limits: { machines: 1, tries: 3 } } });
    const of = { run, machines: await select(), reason: 'storage', discardsLandingData: false };
    expect(await rollBackMachines(of, deps())).toEqual({ machines: ['a'], cancelled: ['b'], already: [] });
    expect((await read('a')).status).toBe('rolling-back');
    expect((await read('b')).status).toBe('cancelled');
    const again = { ...of, machines: await select() };
    expect(await rollBackMachines(again, deps())).toMatchObject({ machines: [], already: ['a'] });
  });

  test('of landed machines demands that their data may be lost, and says so before anything is done', async () => {
    const run = await begin(['a', 'b'], {
      record: (record) => (record.position === 0 ? landed(record) : record),
    });
    const of = { run, machines: await select(), reason: null, discardsLandingData: false };
    await expect(rollBackMachines(of, deps())).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining('--discard-landing-data'),
    });
    expect((await read('b')).status).toBe('moving');
    await rollBackMachines({ ...of, discardsLandingData: true }, deps());
    expect((await read('a')).status).toBe('rolling-back');
    expect(await trail()).toContain('a rollback --discard-landing-data');
  });

  test('of one that was never begun is refused with what to do instead', async () => {
    const run = await begin(['a', 'b'], { wave: { limits: { machines: 1, tries: 3 } } });
    const of = { run, machines: await one('b'), reason: null, discardsLandingData: false };
    await expect(rollBackMachines(of, deps())).rejects.toMatchObject({
      message: expect.stringContaining('landfall cancel r1 b'),
    });
  });

  test('names who came after what goes back', async () => {
    const wave = makeWave('w', ['db', 'web']);
    const machines = wave.machines.map((plan) => (plan.name === 'web' ? { ...plan, after: ['db'] } : plan));
    const run = await begin([], { wave: { machines }, run: { machines: ['db', 'web'] }, record: landed });
    expect(findDependents(run, new Set(['db']), await select())).toEqual(['web']);
  });
});

describe('committing', () => {
  const noting = (): { control: SourceControl; notes: string[] } => {
    const notes: string[] = [];
    const control = {
      readNote: async () => notes.at(-1) ?? null,
      writeNote: async (_machine: unknown, note: string) => void notes.push(note),
    } as unknown as SourceControl;
    return { control, notes };
  };
  const { signal } = new AbortController();

  test('ends the way back and leaves a note at the source, once', async () => {
    const run = await begin(['a'], { record: landed });
    const { control, notes } = noting();
    for (const isChanged of [true, false]) {
      const done = await commitMachines(
        { run, machines: await select(), reason: null },
        { ...deps(), control, signal },
      );
      expect(done).toEqual([{ machine: 'a', isChanged, noteFailure: null }]);
    }
    expect(notes).toEqual([
      expect.stringMatching(/^Migrated by Landfall run r1 on .* lives at aws-instance i-1\./),
    ]);
    const back = { run, machines: await select(), reason: null, discardsLandingData: true };
    await expect(rollBackMachines(back, deps())).rejects.toMatchObject({
      message: expect.stringContaining('no way back'),
    });
  });

  test('stands although the note could not be written, says so, and writes it the next time', async () => {
    const run = await begin(['a'], { record: landed });
    const { control, notes } = noting();
    const away = { ...control, writeNote: () => Promise.reject(new Error('libvirtd is away')) };
    const of = async () => ({ run, machines: await select(), reason: null });
    const [first] = await commitMachines(await of(), { ...deps(), control: away, signal });
    expect(first).toMatchObject({ isChanged: true, noteFailure: 'libvirtd is away' });
    await commitMachines(await of(), { ...deps(), control, signal });
    expect(notes).toHaveLength(1);
  });

  test('of a named machine that has not landed is refused', async () => {
    const run = await begin(['a']);
    const commit = commitMachines(
      { run, machines: await one('a'), reason: null },
      { ...deps(), control: null, signal },
    );
    await expect(commit).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining('is moving'),
    });
  });
});

describe('retrying', () => {
  const uploadFailed = (record: MachineRecord): MachineRecord => {
    const moving = startMachine(record, 1);
    if (moving === null) throw new Error('not waiting');
    const { record: begun } = advanceMachine(moving, OPEN_VIEW, 1);
    const steps = Object.fromEntries(
      Object.entries(begun.steps).map(([key, step]) => {
        if (step.stage === 'upload' && step.disk === '1') return [key, { ...step, state: 'failed' as const }];
        const isDone = ['shutdown', 'export', 'convert', 'upload'].includes(step.stage);
        return [key, isDone ? { ...step, state: 'done' as const } : step];
      }),
    );
    const image = { site: null, bytes: 1, layout: { kind: 'blank' } } as const;
    return { ...begun, status: 'failed', steps, images: { '0': image, '1': image } };
  };

  test('one disk exports and uploads it once more, and leaves the other as it is', async () => {
    const run = await begin(['a'], { record: uploadFailed });
    const machines = await select();
    expect(await retryMachines({ run, machines, reason: null, disk: '0' }, deps())).toEqual(['a']);
    const { steps, images } = await read('a');
    expect(steps['export/0']).toMatchObject({ state: 'active', try: 2 });
    expect(steps['export/1']).toMatchObject({ state: 'done', try: 1 });
    expect(Object.keys(images)).toEqual(['1']);
    expect(await trail()).toEqual(['a retry disk 0']);
  });

  test('a disk that is not there is refused, naming those that are', async () => {
    const run = await begin(['a'], { record: uploadFailed });
    const retry = retryMachines({ run, machines: await select(), reason: null, disk: '7' }, deps());
    await expect(retry).rejects.toMatchObject({ message: 'a of r1 has no disk 7; it has 0, 1.' });
  });

  test('after cancelling tells which sources stay off', async () => {
    const run = await begin(['a', 'b'], {
      record: (record) => (record.position === 0 ? uploadFailed(record) : record),
    });
    await cancelMachines({ run, machines: await one('b'), reason: null }, deps());
    expect(sourcesOff(await select())).toEqual(['a', 'b']);
  });
});

describe('between two windows', () => {
  const weekly: WindowSpec = {
    kind: 'weekly',
    timezone: 'UTC',
    rollbackSeconds: 600,
    weekdays: [1, 2, 3, 4, 5, 6, 7],
    at: '12:00',
    lengthSeconds: 60,
    except: [],
  };
  /** One that closed an hour ago, with a machine that failed in it. */
  const closed = async (wave: Partial<Wave> = {}): Promise<RunRecord> => {
    const now = await state.clock.now();
    const at = new Date(now - HOUR).toISOString().slice(11, 16);
    return await begin(['a', 'b'], {
      wave: { window: { ...weekly, at }, ...wave },
      run: { window: { opensAt: now - HOUR - 60_000, closesAt: now - HOUR } },
      record: (record) =>
        record.position === 0 ? { ...record, status: 'failed', startedAt: 1, endedAt: 2 } : landed(record),
    });
  };

  test('a retry is for the next one, and takes nobody back', async () => {
    const run = await closed();
    expect(await retryMachines({ run, machines: await one('a'), reason: null }, deps())).toEqual(['a']);
    expect((await read('a')).status).toBe('waiting');
    const { window, status } = await findRun(state, 'r1');
    expect(window?.opensAt).toBeGreaterThan(await state.clock.now());
    expect(status).toBe('scheduled');
  });

  test('a retry is refused while others still go back from the last', async () => {
    const run = await closed();
    const back = { run, machines: await one('b'), reason: null, discardsLandingData: true };
    await rollBackMachines(back, deps());
    await expect(
      retryMachines({ run, machines: await one('a'), reason: null }, deps()),
    ).rejects.toMatchObject({ code: 'conflict', message: expect.stringContaining('still go back') });
    expect((await read('a')).status).toBe('failed');
  });
});

describe('what landed', () => {
  test('is not discarded once it is committed', async () => {
    const run = await begin(['a', 'b'], {
      record: (record) => ({ ...landed(record), committedAt: record.position === 0 ? 3 : null }),
    });
    const discard = discardMachines(
      { run, machines: await select(), reason: null },
      deps() as unknown as DiscardDeps,
    );
    await expect(discard).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringMatching(/^Nothing was discarded: a of r1 is committed/),
    });
    expect((await read('b')).status).toBe('landed');
  });

  test('keeps its run from being archived until it is committed: its way back would go', async () => {
    const run = await begin(['a'], { record: landed });
    const archive = () => archiveRun(run.id, { state, queues, by: 'ann@host' });
    await expect(archive()).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringMatching(/a could not go back .* `landfall commit r1` first/),
    });
    const noNotes = { readNote: async () => null, writeNote: async () => {} } as unknown as SourceControl;
    await commitMachines(
      { run, machines: await select(), reason: null },
      { ...deps(), control: noNotes, signal: new AbortController().signal },
    );
    await archive();
    expect((await findRun(state, 'r1')).archivedAt).not.toBeNull();
  });
});

test('a retry that was decided before its run was archived does nothing', async () => {
  const run = await begin(['a'], {
    record: (record) => ({ ...record, status: 'failed', startedAt: 1, endedAt: 2 }),
  });
  const machines = await select();
  await archiveRun(run.id, { state, queues, by: 'ann@host' });
  expect(await retryMachines({ run, machines, reason: null }, deps())).toEqual([]);
  expect((await read('a')).status).toBe('failed');
});

describe('a selection', () => {
  test('names the groups that there are where one is not', async () => {
    await begin(['a'], { wave: { groups: { web: { stopAfter: null } } } });
    await expect(select({ kind: 'group', group: 'wbe' })).rejects.toMatchObject({
      code: 'not-found',
      message: 'Run r1 has no machine in a group wbe; its groups are web.',
    });
  });
});
