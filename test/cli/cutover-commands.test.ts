import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { POOLS } from '../../src/domain/job.ts';
import { type MachineRecord, newMachineRecord } from '../../src/domain/machine-record.ts';
import type { RunRecord } from '../../src/domain/run-record.ts';
import type { Wave } from '../../src/domain/wave.ts';
import type { WindowSpec } from '../../src/domain/window.ts';
import { beat, type Heartbeat, UNSAID } from '../../src/state/heartbeats.ts';
import type { RedisServer } from '../../src/state/redis-server.ts';
import { openState, type State } from '../../src/state/state.ts';
import { makeMachine, makeRun, makeWave } from '../fakes/records.ts';
import { startTestRedis } from '../fakes/redis.ts';
import { type Said, typeCommand } from './typed-command.ts';

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

beforeAll(async () => {
  server = await startTestRedis();
  state = openState(server.url);
});
/** Somebody schedules, so that no command starts an `up`. */
beforeEach(async () => {
  await state.redis.flushall();
  await live({ id: 'w1', schedules: true });
});
afterAll(async () => {
  await state[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

async function live(over: Partial<Heartbeat> & { id: string }): Promise<void> {
  const pools = POOLS.map((stage) => ({ stage, concurrency: 1 }));
  const heartbeat = { host: 'h', pid: 1, site: null, pools, schedules: false, ...UNSAID, ...over };
  await beat(state.redis, heartbeat, await state.clock.now());
}

const landfall = (...words: string[]): Promise<Said> =>
  typeCommand({ redisUrl: server.url, home: join(tmpdir(), 'landfall-none') }, words);

/** Run weekend-1 of db and of web, which comes after it; the window opens in three hours, for six. */
async function begin(
  over: {
    wave?: Partial<Wave>;
    run?: Partial<RunRecord>;
    record?: (record: MachineRecord) => MachineRecord;
  } = {},
): Promise<RunRecord> {
  const made = makeWave('weekend', ['db', 'web']);
  const machines = made.machines.map((plan) =>
    plan.name === 'web' ? { ...plan, group: 'web', after: ['db'] } : plan,
  );
  const groups = { web: { stopAfter: { failures: 1 } } };
  const wave: Wave = { ...made, machines, groups, window: SPEC, isApprovalRequired: true, ...over.wave };
  const now = await state.clock.now();
  const window = { opensAt: now + 3 * HOUR, closesAt: now + 9 * HOUR };
  const run: RunRecord = { ...makeRun('weekend-1', wave), status: 'scheduled', window, ...over.run };
  const records = wave.machines.map((plan, position) =>
    newMachineRecord({
      run: run.id,
      position,
      site: wave.source.site,
      plan,
      machine: makeMachine(plan.name),
      isControlled: true,
    }),
  );
  await state.runs.create(run, records.map(over.record ?? ((record) => record)));
  return run;
}

describe('landfall status RUN', () => {
  test('tells the window in the wave’s zone, the last rollback, approval, groups, what is waited for', async () => {
    await begin();
    const { lines } = await landfall('status', 'weekend');
    const text = lines.join('\n');
    expect(text).toMatch(/^Run weekend-1 \(.*\): scheduled$/m);
    expect(text).toMatch(
      /^Window: \w{3} [\d-]+ [\d:]+ Europe\/Berlin to .* Europe\/Berlin: opens in (3 h 00|2 h 59) min$/m,
    );
    expect(text).toMatch(/^Last moment from which a rollback fits: .* Europe\/Berlin \(in 8 h \d+ min\)$/m);
    expect(text).toMatch(/^Waits for approval: `landfall approve weekend-1`\. Its window opens /m);
    expect(text).toMatch(/^Group web: 0 of 1 landed; the run is held when more than 1 do not$/m);
    expect(text).toMatch(/^MACHINE\s+GROUP\s+STATUS\s+SHUTDOWN\s+EXPORT.*ADMIT$/m);
    expect(text).toMatch(/^web\s+web\s+blocked\s.*after db$/m);
  });

  test('tells who holds what, and why', async () => {
    await begin();
    await landfall('hold', 'weekend', '--reason', 'storage is down');
    await landfall('hold', 'weekend', 'db', '--reason', 'ask Ann');
    const { lines } = await landfall('status', 'weekend');
    expect(lines.join('\n')).toMatch(
      /^Held by \S+@\S+ at [\d:]+ \(storage is down\)\. `landfall release weekend-1`/m,
    );
    expect(lines.join('\n')).toMatch(/^db\s+held\s.*held by \S+@\S+ at [\d:]+ \(ask Ann\)$/m);
  });

  test('tells which pools of a site nobody serves, and the command that does', async () => {
    const { source } = makeWave('weekend', []);
    await begin({ wave: { source: { ...source, site: 'dc1' } } });
    expect((await landfall('status', 'weekend')).lines.at(-1)).toBe(
      '! No live worker serves export, convert, upload, power at site dc1: what needs them waits. Start one where the images of dc1 can be read: `landfall worker --site dc1 --stage export,convert,upload,power`.',
    );
    await live({ id: 'w2', site: 'dc1' });
    expect((await landfall('status', 'weekend')).lines.at(-1)).not.toMatch(/No live worker/);
  });

  test('gives the same as JSON', async () => {
    await begin();
    const [document] = (await landfall('status', 'weekend', '--json')).json;
    expect(document).toMatchObject({
      phase: 'unapproved',
      approval: null,
      hold: null,
      window: { opensAt: expect.any(Number) },
      lastRollbackAt: expect.any(Number),
      groups: { web: { machines: 1, landed: 0, troubled: 0 } },
      unserved: [],
    });
  });
});

describe('a cutover from the operator’s hand', () => {
  test('is approved, opened, held, rolled back, and all of it is in the audit trail in order', async () => {
    await begin();
    expect((await landfall('approve', 'weekend', '--reason', 'change 4711')).lines[0]).toMatch(
      /^Run weekend-1 is approved, by \S+ at [\d:]+ \(change 4711\)\.$/,
    );
    const { lines: opened } = await landfall('cutover', 'weekend', '--now', '--until', '4h');
    expect(opened[0]).toMatch(
      /^The window of weekend-1 is open now, until .* Europe\/Berlin\. 2 machines are shut down at their source and moved, at most 2 at once/,
    );
    expect((await landfall('hold', 'weekend', 'db')).lines).toEqual([
      'db: held where they are. `landfall release weekend-1 db` lets them go on from there.',
    ]);
    expect((await landfall('rollback', 'weekend')).lines).toEqual([
      expect.stringMatching(/^db: on the way back\./),
      'web: never begun, so nothing was to be taken back; cancelled.',
    ]);
    const trail = (await landfall('audit', 'weekend')).lines.map((line) => line.replace(/^[\d: -]+/, ''));
    expect(trail.map((line) => line.replace(/ by \S+/, ''))).toEqual([
      'weekend-1 approve (change 4711)',
      expect.stringMatching(/^weekend-1 cutover --now --until /),
      'run weekend-1 running',
      'db hold',
      'db held',
      'run weekend-1 held',
      'web cancel',
      'web cancelled',
      'db rollback',
      'db rolling-back',
      'run weekend-1 running',
    ]);
  });

  test('without --now says what it would do, and does nothing', async () => {
    await begin();
    await expect(landfall('cutover', 'weekend')).rejects.toMatchObject({
      code: 'usage',
      message: expect.stringMatching(/2 machines are shut down .* `landfall cutover weekend-1 --now`\.$/),
    });
    expect((await state.runs.get('weekend-1'))?.status).toBe('scheduled');
  });

  test('takes a time that is none for a mistake, naming what it takes', async () => {
    await begin();
    await expect(landfall('cutover', 'weekend', '--now', '--until', 'tomorrow')).rejects.toMatchObject({
      code: 'usage',
      message: expect.stringContaining('2026-11-29T04:00 in the wave'),
    });
  });

  test('is not both of a machine and of a group', async () => {
    await begin();
    await expect(landfall('rollback', 'weekend', 'db', '--group', 'web')).rejects.toMatchObject({
      code: 'usage',
    });
  });
});

describe('landfall status RUN --watch', () => {
  test('shows it again once it has changed, until the run has ended', async () => {
    const { id } = await begin();
    const heard = Promise.withResolvers<void>();
    const at = { redisUrl: server.url, home: join(tmpdir(), 'landfall-none') };
    const watching = typeCommand(at, ['status', 'weekend', '--watch'], () => heard.resolve());
    await heard.promise;
    const run = await state.runs.get(id);
    if (run === null) throw new Error('no run');
    await state.runs.commit({ ...run, status: 'cancelled' }, []);
    const shown = (await watching).lines.filter((line) => line.startsWith('Run '));
    expect(shown).toEqual([expect.stringMatching(/: scheduled$/), expect.stringMatching(/: cancelled$/)]);
  });
});

describe('landfall watch', () => {
  test('of a scheduled run says once what it waits for, goes on, and ends with the run', async () => {
    await begin();
    const heard = Promise.withResolvers<void>();
    const noted = Promise.withResolvers<void>();
    const at = { redisUrl: server.url, home: join(tmpdir(), 'landfall-none') };
    const watching = typeCommand(at, ['watch', 'weekend'], (line) =>
      line.includes('Waits for approval') ? heard.resolve() : noted.resolve(),
    );
    await heard.promise;
    const looked = { type: 'operator', run: 'weekend-1', machine: null, action: 'look', by: 'ada' } as const;
    await state.runs.commit(await theRun(), [{ ...looked, reason: null }]);
    await noted.promise;
    await state.runs.commit({ ...(await theRun()), status: 'rolled-back' }, []);
    const { lines, exitStatus } = await watching;
    expect(lines.filter((line) => line.includes('Waits for'))).toEqual([
      expect.stringMatching(
        /^ +Waits for approval: `landfall approve weekend-1`\. Its window opens .* Europe\/Berlin, in /,
      ),
    ]);
    expect(exitStatus).toBe(1);
  });
});

async function theRun(): Promise<RunRecord> {
  const run = await state.runs.get('weekend-1');
  if (run === null) throw new Error('no run');
  return run;
}

describe('landfall retry', () => {
  const failed = (record: MachineRecord): MachineRecord => ({ ...record, status: 'failed', startedAt: 1 });

  test('after the window has closed says how to open it first, and works then', async () => {
    const past = await state.clock.now();
    const over = { opensAt: past - 2 * HOUR, closesAt: past - HOUR };
    const window: WindowSpec = { ...SPEC, opens: '2020-01-05T22:00', closes: '2020-01-06T04:00' };
    await begin({
      record: failed,
      wave: { window, isApprovalRequired: false },
      run: { window: over, status: 'failed' },
    });
    await expect(landfall('retry', 'weekend', 'db')).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining('`landfall cutover weekend-1 --now --until 4h`'),
    });
    await expect(landfall('cutover', 'weekend', '--now')).rejects.toMatchObject({ code: 'usage' });
    await landfall('cutover', 'weekend', '--now', '--until', '4h');
    expect((await landfall('retry', 'weekend', 'db')).lines[0]).toMatch(/^db: tried again\./);
    expect((await state.machines.get('weekend-1', 'db'))?.status).toBe('moving');
  });
});

describe('landfall cancel', () => {
  test('names the sources that stay off, and what turns them on', async () => {
    const off = (record: MachineRecord): MachineRecord => {
      const { shutdown } = record.steps;
      if (shutdown === undefined || record.machine.name !== 'db') return record;
      return {
        ...record,
        startedAt: 1,
        steps: { ...record.steps, shutdown: { ...shutdown, state: 'done' } },
      };
    };
    await begin({ record: off });
    const { lines } = await landfall('cancel', 'weekend');
    expect(lines[0]).toMatch(/^(db, web|web, db): cancelled\./);
    expect(lines[1]).toBe(
      'Its source may be off, and nothing runs in place of db: `landfall rollback weekend-1 db` turns it on again.',
    );
  });
});
