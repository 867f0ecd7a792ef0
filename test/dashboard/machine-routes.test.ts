/** What is told of one machine: hostile names and text stay what they are. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { consoleSchema, diskMapSchema, machineDetailSchema } from '../../src/dashboard/api/machine.ts';
import { workersSchema } from '../../src/dashboard/api/workers.ts';
import type { MachineRecord } from '../../src/domain/machine-record.ts';
import { acquireLease } from '../../src/state/lease.ts';
import { openLedger } from '../../src/state/ledger.ts';
import { makeRecords, makeRun, makeWave } from '../fakes/records.ts';
import { type DashboardSite, openDashboardSite } from './dashboard-site.ts';

const HOSTILE = '<img src=x onerror=alert(1)>';
const LANDING = { kind: 'instance', id: 'i-1', ref: {}, address: '10.0.0.5' } as const;
const PNG = Buffer.from('89504e470d0a1a0a0000', 'hex');

let site: DashboardSite;

beforeAll(async () => {
  site = await openDashboardSite();
  const run = makeRun('r1', makeWave('w', ['web01', HOSTILE]));
  const records = makeRecords(run).map((record) => ({ ...record, ...booting(record) }));
  await site.app.state.runs.create(run, records);
});
afterAll(async () => {
  expect(site.faults).toEqual([]);
  await site[Symbol.asyncDispose]();
});

function booting({ steps }: MachineRecord): Partial<MachineRecord> {
  const done = Object.entries(steps).map(([key, step]) => [
    key,
    step.stage === 'validate'
      ? { ...step, state: 'active', startedAt: 3 }
      : ['export', 'convert', 'upload', 'import'].includes(step.stage)
        ? { ...step, state: 'done', startedAt: 1, endedAt: 2 }
        : step,
  ]);
  return { status: 'moving', startedAt: 1, landing: LANDING, steps: Object.fromEntries(done) };
}

const at = (machine: string, rest = ''): string =>
  `/api/runs/r1/machines/${encodeURIComponent(machine)}${rest}`;

describe('GET /api/runs/RUN/machines/MACHINE', () => {
  it('tells steps, disks, landing and what it made, newest first', async () => {
    const { state } = site.app;
    const lease = await acquireLease(state.redis, { run: 'r1', machine: 'web01', step: 'import' });
    if (lease.kind !== 'held') throw new Error('taken');
    const { redis, clock } = state;
    const signal = new AbortController().signal;
    const ledger = openLedger({ redis, clock, run: 'r1', machine: 'web01', lease: lease.lease, signal });
    await ledger.settle(await ledger.intend('import-task:0'), 'done', { snapshotId: 'snap-1' });
    await ledger.settle(await ledger.intend('instance'), 'done', { instanceId: 'i-1' });
    await lease.lease[Symbol.asyncDispose]();
    const detail = machineDetailSchema.parse((await site.get(at('web01'))).body);
    expect(detail).toMatchObject({
      run: { id: 'r1', wave: 'w' },
      line: { name: 'web01', status: 'moving' },
      landing: { id: 'i-1', address: '10.0.0.5' },
      hardware: { identity: 'files:/estate/web01' },
    });
    expect(detail.ledger.map(({ thing, isLeftover }) => [thing, isLeftover])).toEqual([
      ['instance', false],
      ['import-task:0', false],
    ]);
    expect(detail.steps.map(({ key }) => key)).toContain('upload/0');
    expect(detail.remedies).toContain('landfall hold r1 web01');
  });

  it('keeps a hostile name as it is, in JSON only', async () => {
    const { body, headers } = await site.get(at(HOSTILE));
    expect(headers.get('content-type')).toContain('application/json');
    expect(machineDetailSchema.parse(body).line.name).toBe(HOSTILE);
  });

  it('refuses a machine that the run does not have', async () => {
    const { status, body } = await site.get(at('nobody'));
    expect([status, body]).toEqual([404, { error: { code: 'not-found', message: expect.any(String) } }]);
  });
});

describe('its console', () => {
  it('is told as text, the end of ten megabytes, and from there on', async () => {
    const { consoles } = site.app.state;
    const text = `${'x'.repeat(10 * 1024 ** 2)}\n<script>alert(1)</script>\n`;
    await consoles.write(
      { run: 'r1', machine: 'web01' },
      { landing: 'i-1', console: text, screenshot: null },
    );
    const { body, headers } = await site.get(at('web01', '/console'));
    expect(headers.get('content-type')).toContain('application/json');
    const shown = consoleSchema.parse(body);
    expect(shown.text.length).toBeLessThanOrEqual(256 * 1024);
    expect(shown.text).toContain('<script>alert(1)</script>');
    expect(shown).toMatchObject({ totalChars: text.length, isLive: true });
    const longer = `${text}login:`;
    await consoles.write(
      { run: 'r1', machine: 'web01' },
      { landing: 'i-1', console: longer, screenshot: null },
    );
    const next = consoleSchema.parse(
      (await site.get(at('web01', `/console?offset=${shown.nextOffset}`))).body,
    );
    expect(next.text).toBe('login:');
  });

  it('that nobody has seen is not found', async () => {
    expect((await site.get(at(HOSTILE, '/console'))).status).toBe(404);
  });
});

describe('its screenshot', () => {
  it('is a PNG, or nothing', async () => {
    const { consoles } = site.app.state;
    expect((await site.get(at('web01', '/screenshot'))).status).toBe(404);
    await consoles.write({ run: 'r1', machine: 'web01' }, { landing: 'i-1', console: null, screenshot: PNG });
    const { status, headers } = await site.get(at('web01', '/screenshot?fresh=2'));
    expect([status, headers.get('content-type'), headers.get('x-content-type-options')]).toEqual([
      200,
      'image/png',
      'nosniff',
    ]);
    const html = Buffer.from('<script>alert(1)</script>');
    await consoles.write(
      { run: 'r1', machine: 'web01' },
      { landing: 'i-1', console: null, screenshot: html },
    );
    expect((await site.get(at('web01', '/screenshot'))).status).toBe(404);
  });
});

describe('the map of a disk', () => {
  it('is empty until it is known, and not found for a disk that there is not', async () => {
    const map = diskMapSchema.parse((await site.get(at('web01', '/disks/0/map'))).body);
    expect(map).toMatchObject({ disk: '0', bytes: 64 * 1024 ** 2, cells: null });
    expect((await site.get(at('web01', '/disks/9/map'))).status).toBe(404);
  });
});

describe('pools', () => {
  it('are paused and let go on in the name of whoever does it', async () => {
    const pool = { pool: 'upload', site: null, reason: 'the line is down' };
    const paused = await site.post('/api/pools', { ...pool, change: { kind: 'pause' } });
    expect(paused.body).toMatchObject({ changed: ['upload'] });
    const { pools } = workersSchema.parse((await site.get('/api/workers')).body);
    expect(pools.find((each) => each.pool === 'upload')?.isPaused).toBe(true);
    expect((await site.get('/api/audit')).body).toMatchObject({
      entries: [{ by: 'ada@ops', reason: 'the line is down' }],
    });
    const again = await site.post('/api/pools', { ...pool, change: { kind: 'pause' } });
    expect(again.body).toEqual({ message: 'It was so already.', changed: [] });
    await site.post('/api/pools', { ...pool, change: { kind: 'resume' } });
  });
});
