import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ListMultipartUploadsCommand, ListObjectsV2Command } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { openApp } from '../../src/app.ts';
import { readConfig } from '../../src/config.ts';
import type { JsonObject } from '../../src/domain/json.ts';
import type { Proof } from '../../src/domain/landing.ts';
import { isHomeLocked } from '../../src/home.ts';
import { readThroughput } from '../../src/operations/estimate-run.ts';
import { readDiskMap } from '../../src/operations/read-disk-map.ts';
import { readConsole, readScreenshot } from '../../src/operations/read-landing.ts';
import { runTool } from '../../src/processes/child.ts';
import { buildEstate, type Estate } from '../../tools/estate/build.ts';
import { BUCKET, CACHE, GROUP_DB, GROUP_WEB, type Ground, linesOf, openGround, type Told } from './ground.ts';
import { differences, findLanded } from './landed-disks.ts';
import { processesOf } from './processes.ts';

const PNG_SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
const WAVE = join(import.meta.dirname, '..', '..', 'workflows', 'demo.yaml');

let ground: Ground;
let estate: Estate;
let wave: string;
let told: Told;
let run: string;

beforeAll(async () => {
  ground = await openGround();
  const folder = join(ground.folder, 'estate');
  estate = await buildEstate({ folder, cacheFolder: CACHE, log: () => undefined });
  const demo = parse(await readFile(WAVE, 'utf8')) as { machines: JsonObject[] };
  wave = await ground.writeWave({ name: 'demo', machines: demo.machines, sourceFolder: folder });
  // Nobody started `landfall up`: `run` does.
  told = await ground.landfall(['run', wave, '--json']);
  run = String(linesOf(told).at(-1)?.run);
}, 240_000);
afterAll(async () => {
  await ground?.landfall(['down']);
  await ground?.[Symbol.asyncDispose]();
}, 60_000);

describe('the demo wave', () => {
  test('lands, and the exit status says so', () => {
    expect(told, told.stderr).toMatchObject({ status: 0 });
    expect(linesOf(told).at(-1)).toEqual({ type: 'end', run, status: 'landed', exitStatus: 0 });
    // Where the usual port is somebody else's, it serves none.
    expect(told.stderr).toMatch(
      /started one in the background \(log: .*\)\.( Its dashboard: http:\/\/127\.0\.0\.1:8470)?$/m,
    );
  });

  test('brings every disk of both machines over unchanged', async () => {
    const work = join(ground.folder, 'shop-db');
    await runTool({ command: 'mkdir', args: [work] });
    await runTool({ command: 'tar', args: ['-xf', estate.shopDb, '-C', work] });
    const sources = {
      'shop-db': [join(work, 'shop-db-disk1.vmdk'), join(work, 'shop-db-disk2.vmdk')],
      'shop-web': [estate.shopWeb],
    };
    for (const [machine, disks] of Object.entries(sources)) {
      const landed = await findLanded(ground, { run, machine });
      expect(await differences(ground, { landed, sources: disks }), machine).toEqual([]);
    }
  }, 60_000);

  test('proves it by what the guests read from their disks, and by a picture', async () => {
    const proofs = linesOf(await ground.landfall(['proof', run, '--json']))[0] as unknown as Proof[];
    expect(proofs.map(({ machine }) => machine)).toEqual(['shop-db', 'shop-web']);
    for (const proof of proofs) {
      const console = await readFile(proof.consoleFile, 'utf8');
      const expected = estate.expected.filter(({ machine }) => machine === proof.machine);
      for (const { disk, sha256, file } of expected) {
        expect(console).toContain(`landfall-guest disk ${disk} sha256 ${sha256} ${file}`);
      }
      const picture = await readFile(String(proof.screenshotFile));
      expect(picture.subarray(0, PNG_SIGNATURE.length)).toEqual(PNG_SIGNATURE);
      expect(proof.disks.flatMap(({ digests }) => digests)).toContainEqual(
        expect.objectContaining({
          algorithm: proof.machine === 'shop-web' ? 'sha256-linear' : 'crc32',
          isConfirmed: true,
        }),
      );
    }
  }, 30_000);

  test('leaves those who look on its disks as pictures, its throughput, console and screenshot', async () => {
    await using app = await openApp(readConfig({ LANDFALL_HOME: ground.home }, ground.folder));
    const { state, evidence } = app;
    const found = await state.runs.get(run);
    expect(found?.plannedBy).toMatch(/@/);
    expect((await readThroughput(state, run)).samples.length).toBeGreaterThan(0);
    for (const record of await state.machines.all(run, found?.machines ?? [])) {
      for (const { id: disk } of record.machine.disks) {
        const { cells } = await readDiskMap(state, record, { disk });
        expect(
          cells?.some(({ copied }) => copied > 0),
          `${record.machine.name} ${disk}`,
        ).toBe(true);
        expect(cells?.every(({ copied, zero }) => Math.abs(copied + zero - 1) < 1e-4)).toBe(true);
      }
      const live = await state.consoles.read({ run, machine: record.machine.name });
      const kept = await readConsole({ state, evidence, record });
      expect([live?.landing, live?.text]).toEqual([record.landing?.id, kept?.text]);
      const screenshot = await readScreenshot({ state, evidence, record });
      expect(Buffer.from(screenshot ?? []).subarray(0, PNG_SIGNATURE.length)).toEqual(PNG_SIGNATURE);
    }
  }, 30_000);

  test('lets the machines into service in the groups that the wave names', async () => {
    const groupsOf = async (machine: string) => {
      const { instance } = await findLanded(ground, { run, machine });
      return instance.SecurityGroups?.map(({ GroupId }) => GroupId);
    };
    expect(await groupsOf('shop-db')).toEqual([GROUP_DB]);
    expect(await groupsOf('shop-web')).toEqual([GROUP_WEB]);
  });

  test('leaves no object and no unfinished upload in the bucket', async () => {
    const { KeyCount } = await ground.s3.send(new ListObjectsV2Command({ Bucket: BUCKET }));
    const { Uploads = [] } = await ground.s3.send(new ListMultipartUploadsCommand({ Bucket: BUCKET }));
    expect({ KeyCount, Uploads }).toEqual({ KeyCount: 0, Uploads: [] });
  });

  test('asks nothing of the target when it is run again', async () => {
    ground.sandbox.requests.clear();
    const again = await ground.landfall(['run', wave, '--json']);
    expect(again.status).toBe(0);
    expect(linesOf(again).at(-1)).toMatchObject({ run, status: 'landed' });
    expect(ground.sandbox.requests.receivedByAction()).toEqual({});
  }, 30_000);

  test('leaves no process behind after `down`', async () => {
    expect(await processesOf(ground.home)).not.toEqual([]);
    expect(await ground.landfall(['down'])).toMatchObject({ status: 0 });
    expect(await isHomeLocked(ground.home)).toBe(false);
    await expect.poll(() => processesOf(ground.home), { timeout: 5_000 }).toEqual([]);
  }, 30_000);
});
