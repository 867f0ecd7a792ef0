/** Rolling back, and what ends the way back. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { SourceControl } from '../../src/domain/ports.ts';
import { archiveRun } from '../../src/operations/archive-run.ts';
import { commitMachines } from '../../src/operations/commit.ts';
import { type DiscardDeps, discardMachines } from '../../src/operations/discard.ts';
import { findRun } from '../../src/operations/find-run.ts';
import { findDependents, rollBackMachines } from '../../src/operations/roll-back.ts';
import { makeWave } from '../fakes/records.ts';
import { type ActionGround, landed, openActionGround } from './action-ground.ts';

let ground: ActionGround;
beforeAll(async () => {
  ground = await openActionGround();
});
afterAll(async () => {
  await ground[Symbol.asyncDispose]();
});

describe('rolling back', () => {
  test('takes back what has begun, and keeps the rest from beginning in its place', async () => {
    const run = await ground.begin(['a', 'b'], { wave: { limits: { machines: 1, tries: 3 } } });
    const of = { run, machines: await ground.select(), reason: 'storage', discardsLandingData: false };
    expect(await rollBackMachines(of, ground.deps)).toEqual({
      machines: ['a'],
      cancelled: ['b'],
      already: [],
    });
    expect((await ground.read('a')).status).toBe('rolling-back');
    expect((await ground.read('b')).status).toBe('cancelled');
    const again = { ...of, machines: await ground.select() };
    expect(await rollBackMachines(again, ground.deps)).toMatchObject({ machines: [], already: ['a'] });
  });

  test('of landed machines demands that their data may be lost, and says so before anything is done', async () => {
    const run = await ground.begin(['a', 'b'], {
      record: (record) => (record.position === 0 ? landed(record) : record),
    });
    const of = { run, machines: await ground.select(), reason: null, discardsLandingData: false };
    await expect(rollBackMachines(of, ground.deps)).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining('--discard-landing-data'),
    });
    expect((await ground.read('b')).status).toBe('moving');
    await rollBackMachines({ ...of, discardsLandingData: true }, ground.deps);
    expect((await ground.read('a')).status).toBe('rolling-back');
    expect(await ground.trail()).toContain('a rollback --discard-landing-data');
  });

  test('of one that was never begun is refused with what to do instead', async () => {
    const run = await ground.begin(['a', 'b'], { wave: { limits: { machines: 1, tries: 3 } } });
    const of = { run, machines: await ground.one('b'), reason: null, discardsLandingData: false };
    await expect(rollBackMachines(of, ground.deps)).rejects.toMatchObject({
      message: expect.stringContaining('landfall cancel r1 b'),
    });
  });

  test('names who came after what goes back', async () => {
    const wave = makeWave('w', ['db', 'web']);
    const machines = wave.machines.map((plan) => (plan.name === 'web' ? { ...plan, after: ['db'] } : plan));
    const run = await ground.begin([], {
      wave: { machines },
      run: { machines: ['db', 'web'] },
      record: landed,
    });
    expect(findDependents(run, new Set(['db']), await ground.select())).toEqual(['web']);
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
    const run = await ground.begin(['a'], { record: landed });
    const { control, notes } = noting();
    for (const isChanged of [true, false]) {
      const done = await commitMachines(
        { run, machines: await ground.select(), reason: null },
        { ...ground.deps, control, signal },
      );
      expect(done).toEqual([{ machine: 'a', isChanged, noteFailure: null }]);
    }
    expect(notes).toEqual([
      expect.stringMatching(/^Migrated by Landfall run r1 on .* lives at aws-instance i-1\./),
    ]);
    const back = { run, machines: await ground.select(), reason: null, discardsLandingData: true };
    await expect(rollBackMachines(back, ground.deps)).rejects.toMatchObject({
      message: expect.stringContaining('no way back'),
    });
  });

  test('stands although the note could not be written, says so, and writes it the next time', async () => {
    const run = await ground.begin(['a'], { record: landed });
    const { control, notes } = noting();
    const away = { ...control, writeNote: () => Promise.reject(new Error('libvirtd is away')) };
    const of = async () => ({ run, machines: await ground.select(), reason: null });
    const [first] = await commitMachines(await of(), { ...ground.deps, control: away, signal });
    expect(first).toMatchObject({ isChanged: true, noteFailure: 'libvirtd is away' });
    await commitMachines(await of(), { ...ground.deps, control, signal });
    expect(notes).toHaveLength(1);
  });

  test('of a named machine that has not landed is refused', async () => {
    const run = await ground.begin(['a']);
    const commit = commitMachines(
      { run, machines: await ground.one('a'), reason: null },
      { ...ground.deps, control: null, signal },
    );
    await expect(commit).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining('is moving'),
    });
  });
});

describe('what landed', () => {
  test('is not discarded once it is committed', async () => {
    const run = await ground.begin(['a', 'b'], {
      record: (record) => ({ ...landed(record), committedAt: record.position === 0 ? 3 : null }),
    });
    const discard = discardMachines(
      { run, machines: await ground.select(), reason: null },
      ground.deps as unknown as DiscardDeps,
    );
    await expect(discard).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringMatching(/^Nothing was discarded: a of r1 is committed/),
    });
    expect((await ground.read('b')).status).toBe('landed');
  });

  test('keeps its run from being archived until it is committed: its way back would go', async () => {
    const run = await ground.begin(['a'], { record: landed });
    const archive = () => archiveRun(run.id, { ...ground.deps, queues: ground.queues });
    await expect(archive()).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringMatching(/a could not go back .* `landfall commit r1` first/),
    });
    const noNotes = { readNote: async () => null, writeNote: async () => {} } as unknown as SourceControl;
    await commitMachines(
      { run, machines: await ground.select(), reason: null },
      { ...ground.deps, control: noNotes, signal: new AbortController().signal },
    );
    await archive();
    expect((await findRun(ground.state, 'r1')).archivedAt).not.toBeNull();
  });
});
