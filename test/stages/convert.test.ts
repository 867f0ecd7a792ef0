import { randomBytes } from 'node:crypto';
import { appendFile, mkdtemp, open, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Prepared } from '../../src/domain/image.ts';
import type { MachineRecord } from '../../src/domain/machine-record.ts';
import { runTool } from '../../src/processes/child.ts';
import { runStep } from '../../src/stages/run-step.ts';
import { createJob, createMachine, createRecord, MIB, rawImage } from '../fakes/machine.ts';
import { createFakeSource, type FakeSource } from '../fakes/source.ts';
import { createFakeTarget } from '../fakes/target.ts';
import { type Attempt, createAttempt } from './attempt.ts';

const BYTES = 8 * MIB;

let folder: string;
let raw: string;
let source: FakeSource;
let record: MachineRecord;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'landfall-convert-'));
  raw = join(folder, 'disk.raw');
  await using file = await open(raw, 'w');
  await file.truncate(BYTES);
  await file.write(randomBytes(2 * MIB), 0, 2 * MIB, MIB);
  const machine = createMachine({ disks: 2, diskBytes: BYTES });
  const images = {
    '0': rawImage(raw, BYTES),
    '1': { site: null, bytes: BYTES, layout: { kind: 'blank' as const } },
  };
  record = { ...createRecord({ machine }), images };
  source = createFakeSource({ machine, images });
});

afterEach(async () => {
  await rm(folder, { recursive: true });
});

function attempt(options: Partial<Parameters<typeof createAttempt>[0]> = {}): Attempt {
  return createAttempt({
    record,
    source,
    job: createJob('convert'),
    stagingFolder: join(folder, 'staging'),
    ...options,
  });
}

async function convert(input: Attempt): Promise<Record<string, Prepared>> {
  const outcome = await runStep(input);
  if (outcome.kind !== 'done' || outcome.value.stage !== 'convert') throw new Error('not converted');
  return outcome.value.prepared;
}

it('finds how each disk goes up and how much of it holds data, and writes nothing', async () => {
  const target = createFakeTarget({ containers: ['vmdk-stream-optimized'] });
  const form = { kind: 'parts', container: 'vmdk-stream-optimized' };
  expect(await convert(attempt({ target }))).toEqual({
    '0': { form, dataBytes: 2 * MIB },
    '1': { form, dataBytes: 0 },
  });
  expect((await readdir(folder)).sort()).toEqual(['disk.raw']);
});

it('reads the map of a disk in another format', async () => {
  const path = join(folder, 'disk.qcow2');
  await runTool({ command: 'qemu-img', args: ['convert', '-f', 'raw', '-O', 'qcow2', raw, path] });
  const image = {
    site: null,
    bytes: BYTES,
    layout: {
      kind: 'single' as const,
      format: 'qcow2' as const,
      file: { path, offsetBytes: 0, lengthBytes: null },
    },
  };
  record = { ...record, images: { ...record.images, '0': image } };
  expect((await convert(attempt()))['0']?.dataBytes).toBe(2 * MIB);
});

it('refuses a source that changed since it was exported, and one whose machine runs', async () => {
  const input = attempt();
  await input.context.checkpoints.set('export/0', {
    fingerprint: await source.fingerprint(rawImage(raw, BYTES)),
  });
  await appendFile(raw, 'more');
  await expect(convert(input)).rejects.toMatchObject({ code: 'source-changed' });
  source.power = 'on';
  await expect(convert(attempt())).rejects.toMatchObject({ code: 'source-not-off' });
});

it('stops when it is aborted, with the reason', async () => {
  const stop = AbortSignal.abort(new Error('worker stops'));
  await expect(convert(attempt({ signal: stop }))).rejects.toThrow('worker stops');
});
