import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Proof } from '../../src/domain/landing.ts';
import { runTool } from '../../src/processes/child.ts';
import type { State } from '../../src/state/state.ts';
import { buildEstate, type Estate } from '../../tools/estate/build.ts';
import {
  type AzureGround,
  azureDisks,
  azureHoldings,
  openAzureGround,
  writeDemoWave,
} from './azure-ground.ts';
import { CACHE, type Ground, linesOf, type Told } from './ground.ts';
import { differences, findLanded, isSame } from './landed-disks.ts';
import { startRun, untilRun } from './run-records.ts';

/** Read only, and made once. */
const ESTATE = join(CACHE, '..', 'estate');

let clouds: AzureGround;
let ground: Ground;
let state: State;
let estate: Estate;
let sources: readonly string[];

beforeAll(async () => {
  clouds = await openAzureGround();
  ({ ground } = clouds);
  estate = await buildEstate({ folder: ESTATE, cacheFolder: CACHE, log: () => undefined });
  const work = join(ground.folder, 'shop-db');
  await runTool({ command: 'mkdir', args: [work] });
  await runTool({ command: 'tar', args: ['-xf', estate.shopDb, '-C', work] });
  sources = [join(work, 'shop-db-disk1.vmdk'), join(work, 'shop-db-disk2.vmdk')];
  await ground.up('--no-pools');
  state = await ground.state();
}, 240_000);
afterAll(() => clouds?.[Symbol.asyncDispose](), 60_000);

/** The demo's BIOS machine with two disks, from one OVA: the tests follow it. */
describe('a machine that lands at AWS and at Azure', () => {
  const runs = { aws: '', azure: '' };
  const trees: Record<string, readonly string[]> = {};

  test('lands at AWS with the bytes of its source', async () => {
    await ground.worker('export,convert,upload,import,validate,power');
    runs.aws = await land('demo.yaml', 'aws');
    const landed = await findLanded(ground, { run: runs.aws, machine: 'shop-db' });
    expect(await differences(ground, { landed, sources })).toEqual([]);
    expectVerified(await ground.landfall(['verify', runs.aws]));
    trees.aws = await treesOf(runs.aws);
    // A machine of a run that is not archived is not taken by another.
    expect(await ground.landfall(['archive', runs.aws])).toMatchObject({ status: 0 });
  }, 120_000);

  test('lands at Azure with the same bytes', async () => {
    runs.azure = await land('demo-azure.yaml', 'azure');
    const disks = await azureDisks(clouds.azure, 'shop-db');
    expect(disks).toHaveLength(sources.length);
    for (const [index, source] of sources.entries()) {
      expect(await isSame(source, disks[index] ?? ''), source).toBe(true);
    }
    expectVerified(await ground.landfall(['verify', runs.azure]));
    trees.azure = await treesOf(runs.azure);
    expect(trees.azure).toHaveLength(sources.length);
    expect(trees.azure).toEqual(trees.aws);
  }, 120_000);

  test('is taken back from Azure by `discard`, with all that was made for it', async () => {
    expect(await azureHoldings(clouds.azure, runs.azure)).not.toEqual([]);
    const told = await ground.landfall(['discard', runs.azure, '--landed']);
    expect(told, told.stdout).toMatchObject({ status: 0 });
    expect(await azureHoldings(clouds.azure, runs.azure)).toEqual([]);
  }, 60_000);

  async function land(from: string, name: string): Promise<string> {
    const wave = await writeDemoWave(ground, {
      from,
      name,
      sourceFolder: estate.folder,
      machines: (all) => all.filter(({ name: machine }) => machine === 'shop-db'),
    });
    const run = await startRun(ground, wave);
    await untilRun(state, { run, is: 'landed' });
    return run;
  }
});

function expectVerified(told: Told): void {
  expect(told, told.stderr).toMatchObject({ status: 0 });
  expect(told.stdout.match(/: the same, /g)).toHaveLength(sources.length);
}

async function treesOf(run: string): Promise<string[]> {
  const proofs = linesOf(await ground.landfall(['proof', run, '--json']))[0] as unknown as Proof[];
  return proofs
    .flatMap(({ disks }) => disks)
    .flatMap(({ digests }) => digests)
    .filter(({ algorithm }) => algorithm === 'sha256-tree')
    .map(({ value }) => value);
}
