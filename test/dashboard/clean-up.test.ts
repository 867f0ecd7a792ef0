/** Cleaning up from a page: what is there is named before, and removed in somebody's name. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { LandfallError } from '../../src/domain/errors.ts';
import type { MachineRecord } from '../../src/domain/machine-record.ts';
import type { TaggedThing, Target } from '../../src/domain/ports.ts';
import { makeRecords, makeRun, makeWave } from '../fakes/records.ts';
import { createFakeTarget } from '../fakes/target.ts';
import { type DashboardSite, openDashboardSite } from './dashboard-site.ts';

const ERROR = { code: 'import-failed', message: 'AWS gave up', retryable: false, context: {} } as const;
const ORPHAN: TaggedThing = { kind: 'snapshot', id: 'snap-1', machine: 'db01', detail: '' };

/** It failed its checks after it was admitted: what came in since is nowhere else. */
const SERVED = ({ steps }: MachineRecord): Partial<MachineRecord> => ({
  landing: { kind: 'instance', id: 'i-1', ref: {} },
  steps: { ...steps, ...(steps.admit === undefined ? {} : { admit: { ...steps.admit, startedAt: 1 } }) },
});

let site: DashboardSite;
let things: TaggedThing[];
let isAway: boolean;

beforeAll(async () => {
  site = await openDashboardSite();
  const fake = createFakeTarget();
  const target: Target = {
    ...fake,
    async findTagged() {
      if (isAway)
        throw new LandfallError({
          code: 'target-unavailable',
          message: 'AWS does not answer.',
          retryable: true,
        });
      return things;
    },
    async removeTagged({ id }) {
      things = things.filter((thing) => thing.id !== id);
    },
  };
  site.app.openTarget = () => target;
  const run = makeRun('r1', makeWave('w', ['db01', 'web01', 'app01']));
  const records = makeRecords(run).map((record) => {
    const at = { ...record, startedAt: 1, endedAt: 2 };
    switch (record.machine.name) {
      case 'db01':
        return { ...at, status: 'failed' as const, error: ERROR };
      case 'app01':
        return { ...at, status: 'failed' as const, error: ERROR, ...SERVED(record) };
      default:
        return { ...at, status: 'landed' as const };
    }
  });
  await site.app.state.runs.create(run, records);
});
afterAll(async () => {
  await site[Symbol.asyncDispose]();
});
beforeEach(() => {
  things = ['db01', 'web01', 'app01'].map((machine, index) => ({
    ...ORPHAN,
    id: `snap-${index + 1}`,
    machine,
  }));
  isAway = false;
});

const CLEANUP = { action: 'cleanup', on: { kind: 'run' } };

describe('cleanup', () => {
  it('names what goes, and keeps what landed', async () => {
    const { body } = await site.post('/api/runs/r1/preview', CLEANUP);
    expect(body).toMatchObject({ refusal: null, isReversible: false, machines: ['db01'] });
    expect((body as { consequences: string[] }).consequences).toEqual([
      '1 thing is deleted at the target: db01: snapshot snap-1.',
      'db01: a retry begins from the start.',
      '2 machines are kept: what landed is not touched.',
    ]);
    expect(things).toHaveLength(3);
  });

  it('is previewed also where the target does not answer, and then fails with its words', async () => {
    isAway = true;
    const { body } = await site.post('/api/runs/r1/preview', CLEANUP);
    expect((body as { consequences: string[] }).consequences[0]).toContain('AWS does not answer.');
    const done = await site.post('/api/runs/r1/actions', { ...CLEANUP, reason: 'end of project' });
    expect([done.status, done.body]).toEqual([
      502,
      { error: { code: 'target-unavailable', message: 'AWS does not answer.' } },
    ]);
  });

  it('removes it, with the reason that was given', async () => {
    const { status, body } = await site.post('/api/runs/r1/actions', {
      ...CLEANUP,
      reason: 'end of project',
    });
    expect([status, body]).toEqual([200, { message: '1 of 1 things removed.', changed: ['db01'] }]);
    expect(things.map(({ id }) => id)).toEqual(['snap-2', 'snap-3']);
    const deeds = [];
    for await (const event of site.app.state.events.readAll('r1', '0'))
      if (event.type === 'operator') deeds.push([event.action, event.machine, event.reason]);
    expect(deeds).toContainEqual(['cleanup', null, 'end of project']);
    expect(deeds).toContainEqual(['discard', 'db01', 'end of project']);
  });
});
