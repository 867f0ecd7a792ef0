/** Who may do what from a page, where people log in. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeRecords, makeRun, makeWave } from '../fakes/records.ts';
import { type DashboardSite, openDashboardSite } from './dashboard-site.ts';

let site: DashboardSite;

beforeAll(async () => {
  site = await openDashboardSite({
    people: { vera: 'viewer', olga: 'operator', anna: 'approver', bea: 'approver' },
  });
  const wave = { ...makeWave('w', ['web01']), isApprovalRequired: true, isApprovalByAnother: true };
  const run = { ...makeRun('r1', wave), plannedBy: 'anna' };
  await site.app.state.runs.create(run, makeRecords(run));
  await site.app.conductor.advanceRun('r1');
});
afterAll(async () => {
  await site[Symbol.asyncDispose]();
});

const WHOLE = { on: { kind: 'run' } };
const act = (action: string, as: string) =>
  site.post('/api/runs/r1/actions', { ...WHOLE, action, reason: 'change 4711' }, as);
const preview = async (action: string, as: string): Promise<unknown> =>
  (await site.post('/api/runs/r1/preview', { ...WHOLE, action }, as)).body;

describe('a viewer', () => {
  it('sees what an action would do, and that it is not theirs', async () => {
    expect(await preview('hold', 'vera')).toMatchObject({
      refusal: 'This takes the role operator; vera is viewer.',
      consequences: expect.arrayContaining([expect.any(String)]),
    });
    expect((await act('hold', 'vera')).status).toBe(403);
    const pool = { pool: 'upload', site: null, reason: 'x', change: { kind: 'pause' } };
    expect((await site.post('/api/pools', pool, 'vera')).status).toBe(403);
    expect((await site.app.state.runs.get('r1'))?.hold).toBeNull();
  });
});

describe('an approval', () => {
  it('is for approvers', async () => {
    expect(await preview('approve', 'olga')).toMatchObject({
      refusal: expect.stringContaining('role approver'),
    });
    const { status, body } = await act('approve', 'olga');
    expect([status, body]).toEqual([
      403,
      { error: { code: 'not-allowed', message: 'This takes the role approver; olga is operator.' } },
    ]);
  });

  it('is not for whoever planned it, where the wave says so', async () => {
    expect(await preview('approve', 'anna')).toMatchObject({
      refusal: expect.stringContaining('anna planned it'),
    });
    expect((await act('approve', 'anna')).status).toBe(409);
    expect((await act('approve', 'bea')).status).toBe(200);
    expect((await site.app.state.runs.get('r1'))?.approval).toMatchObject({
      by: 'bea',
      reason: 'change 4711',
    });
  });
});

describe('what an operator does', () => {
  it('is in the trail by their name', async () => {
    expect((await act('hold', 'olga')).status).toBe(200);
    expect((await site.app.state.runs.get('r1'))?.hold).toMatchObject({ by: 'olga' });
  });
});
