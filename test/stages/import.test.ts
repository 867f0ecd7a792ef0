import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Artifact } from '../../src/domain/landing.ts';
import { runStep } from '../../src/stages/run-step.ts';
import { createJob, createMachine, createRecord } from '../fakes/machine.ts';
import { createFakeSource } from '../fakes/source.ts';
import { createDurableState } from '../fakes/step-context.ts';
import { createFakeTarget, LANDING } from '../fakes/target.ts';
import { createAttempt } from './attempt.ts';

let stagingFolder: string;
const machine = createMachine({ disks: 12, name: 'web 01' });
const artifact = (disk: string): Artifact => ({
  disk,
  kind: 'fake',
  container: 'raw',
  bytes: 1,
  ref: {},
  digests: [],
});
// Keys like these come in numeric order from an object whatever the order of insertion; disk order must not rely on it.
const artifacts = Object.fromEntries([...machine.disks].reverse().map(({ id }) => [id, artifact(id)]));
const record = { ...createRecord({ machine }), artifacts };
const job = createJob('import', null, machine.name);

beforeEach(async () => {
  stagingFolder = await mkdtemp(join(tmpdir(), 'landfall-import-'));
  await mkdir(join(stagingFolder, 'run-1/web%2001/converted'), { recursive: true });
  await writeFile(join(stagingFolder, 'run-1/web%2001/converted/disk-0.vmdk'), 'bytes');
  await mkdir(join(stagingFolder, 'run-1/other'), { recursive: true });
});

afterEach(async () => {
  await rm(stagingFolder, { recursive: true });
});

it('gives the target the artifacts in disk order, then lets go of source and staging', async () => {
  const target = createFakeTarget();
  const source = createFakeSource({ machine, images: {} });
  const outcome = await runStep(createAttempt({ record, job, target, source, stagingFolder }));
  expect(outcome).toEqual({ kind: 'done', value: { stage: 'import', landing: LANDING } });
  expect(target.imports[0]?.map(({ disk }) => disk)).toEqual(machine.disks.map(({ id }) => id));
  expect(source.released).toEqual(['web 01']);
  expect(await readdir(join(stagingFolder, 'run-1'))).toEqual(['other']);
});

it('keeps source and staging while the target works', async () => {
  const target = createFakeTarget();
  target.importOutcomes = [{ kind: 'wait', afterMs: 5_000, note: 'disk 0: 40 %' }];
  const source = createFakeSource({ machine, images: {} });
  const outcome = await runStep(createAttempt({ record, job, target, source, stagingFolder }));
  expect(outcome).toEqual({ kind: 'wait', afterMs: 5_000, note: 'disk 0: 40 %' });
  expect(source.released).toEqual([]);
  expect(await readdir(join(stagingFolder, 'run-1'))).toEqual(['other', 'web%2001']);
});

it('calls its hooks before and after, each once however often it looks', async () => {
  const target = createFakeTarget();
  target.importOutcomes = [
    { kind: 'wait', afterMs: 5_000, note: '' },
    { kind: 'done', value: LANDING },
  ];
  const hook = { kind: 'command', timeoutSeconds: 10, onFailure: 'fail' } as const;
  const say = 'echo "$LANDFALL_MOMENT $LANDFALL_LANDING" >> said';
  const hooks = (['before-import', 'after-import'] as const).map((at) => ({
    ...hook,
    at,
    command: ['sh', '-c', say],
  }));
  const hooked = { ...record, plan: { ...record.plan, hooks } };
  const state = createDurableState();
  const look = () =>
    runStep(createAttempt({ record: hooked, job, target, stagingFolder, state, waveFolder: stagingFolder }));
  await look();
  await look();
  await look();
  const said = await readFile(join(stagingFolder, 'said'), 'utf8');
  expect(said).toBe(`before-import \nafter-import ${LANDING.id}\n`);
});

it('runs again where staging is gone already', async () => {
  const input = createAttempt({ record, job, stagingFolder });
  await runStep(input);
  expect((await runStep(input)).kind).toBe('done');
});

it('refuses a record that lacks an artifact before it asks the target', async () => {
  const target = createFakeTarget();
  const { '3': _, ...others } = artifacts;
  const lacking = createAttempt({ record: { ...record, artifacts: others }, job, target, stagingFolder });
  await expect(runStep(lacking)).rejects.toMatchObject({
    code: 'internal',
    retryable: false,
    message: expect.stringContaining('artifact of disk 3'),
  });
  expect(target.imports).toEqual([]);
});

it.each(['..', '.', '../../etc', 'a/b'])('keeps a machine named %s inside its run', async (name) => {
  const hostile = { ...record, machine: { ...machine, name } };
  await runStep(createAttempt({ record: hostile, job: { ...job, machine: name }, stagingFolder }));
  expect((await readdir(join(stagingFolder, 'run-1'))).sort()).toEqual(['other', 'web%2001']);
});
