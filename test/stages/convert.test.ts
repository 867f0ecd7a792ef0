import { randomBytes } from 'node:crypto';
import { appendFile, mkdir, mkdtemp, open, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Container, Image, Prepared, QemuFormat } from '../../src/domain/image.ts';
import type { MachineRecord } from '../../src/domain/machine-record.ts';
import { compareImages } from '../../src/images/qemu-img.ts';
import { runTool } from '../../src/processes/child.ts';
import { runStep } from '../../src/stages/run-step.ts';
import { boundByFile } from '../../src/stages/staging-space.ts';
import { createJob, createMachine, createRecord, MIB, rawImage } from '../fakes/machine.ts';
import { createFakeSource, type FakeSource } from '../fakes/source.ts';
import { createDurableState, type DurableState } from '../fakes/step-context.ts';
import { createFakeTarget, type FakeTarget } from '../fakes/target.ts';
import { type Attempt, createAttempt } from './attempt.ts';

const BYTES = 8 * MIB;
const { signal } = new AbortController();

let folder: string;
let raw: string;
let state: DurableState;
let source: FakeSource;
let target: FakeTarget;
let record: MachineRecord;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'landfall-convert-'));
  raw = join(folder, 'disk.raw');
  await using file = await open(raw, 'w');
  await file.truncate(BYTES);
  await file.write(randomBytes(2 * MIB), 0, 2 * MIB, MIB);
  state = createDurableState();
  use({ images: [rawImage(raw, BYTES)], container: 'vmdk-stream-optimized' });
});

afterEach(async () => {
  await rm(folder, { recursive: true });
});

function use({ images, container }: { images: readonly Image[]; container: Container }): void {
  const machine = createMachine({ disks: images.length, diskBytes: BYTES });
  const byDisk = Object.fromEntries(images.map((image, index) => [String(index), image]));
  record = { ...createRecord({ machine }), images: byDisk };
  source = createFakeSource({ machine, images: byDisk });
  target = createFakeTarget({ containers: [container], partBytes: 256 * 1024 });
}

/** The raw disk in another format; options as qemu-img takes them. */
async function writeImage(name: string, ...output: string[]): Promise<string> {
  const path = join(folder, name);
  await runTool({ command: 'qemu-img', args: ['convert', '-f', 'raw', ...output, raw, path] });
  return path;
}

function singleImage(path: string, format: QemuFormat): Image {
  return {
    site: null,
    bytes: BYTES,
    layout: { kind: 'single', format, file: { path, offsetBytes: 0, lengthBytes: null } },
  };
}

function attempt(stop?: AbortSignal): Attempt {
  const input = {
    record,
    source,
    target,
    state,
    stagingFolder: join(folder, 'staging'),
    job: createJob('convert'),
  };
  return createAttempt(stop === undefined ? input : { ...input, signal: stop });
}

async function convert(input = attempt()): Promise<Record<string, Prepared>> {
  const outcome = await runStep(input);
  if (outcome.kind !== 'done' || outcome.value.stage !== 'convert') throw new Error('not converted');
  return outcome.value.prepared;
}

async function convertOne(input = attempt()): Promise<Prepared> {
  const prepared = (await convert(input))['0'];
  if (prepared === undefined) throw new Error('disk 0 is missing');
  return prepared;
}

async function staged(): Promise<string[]> {
  return readdir(join(folder, 'staging/run-1/web01/converted')).catch(() => []);
}

async function equalsSource(path: string, format: QemuFormat): Promise<boolean> {
  const file = { path, offsetBytes: 0, lengthBytes: null };
  const left = { format: 'raw' as const, file: { path: raw, offsetBytes: 0, lengthBytes: null } };
  return compareImages({ left, right: { format, file }, signal });
}

describe('a disk that the target does not take as it is', () => {
  it.each([
    ['vmdk-stream-optimized', 'vmdk'],
    ['vhd-fixed', 'vhd'],
  ] as const)('becomes %s in staging, with the same content', async (container, format) => {
    use({ images: [rawImage(raw, BYTES)], container });
    const prepared = await convertOne();
    expect(prepared).toMatchObject({ container, isStaged: true });
    expect(prepared.file.path).toContain(join(folder, 'staging/run-1/web01/converted/disk-0.'));
    expect((await stat(prepared.file.path)).size).toBe(prepared.lengthBytes);
    expect(await equalsSource(prepared.file.path, format)).toBe(true);
    expect(await staged()).toHaveLength(1);
  });

  it('becomes raw where the target takes raw', async () => {
    const qcow2 = await writeImage('disk.qcow2', '-O', 'qcow2');
    use({ images: [singleImage(qcow2, 'qcow2')], container: 'raw' });
    const prepared = await convertOne();
    expect(prepared.lengthBytes).toBe(BYTES);
    expect((await readFile(prepared.file.path)).equals(await readFile(raw))).toBe(true);
  });

  it('reports its progress in bytes of the disks, up to their sum', async () => {
    use({ images: [rawImage(raw, BYTES), rawImage(raw, BYTES)], container: 'vmdk-stream-optimized' });
    const input = attempt();
    await convert(input);
    const done = input.context.reports.map((report) => report.doneBytes);
    expect(done).toEqual([...done].sort((a, b) => a - b));
    expect(input.context.reports.at(-1)).toMatchObject({ doneBytes: 2 * BYTES, totalBytes: 2 * BYTES });
  });

  it('is not written again by a second delivery', async () => {
    const first = await convert();
    expect(await convert()).toEqual(first);
    expect(source.opened).toBe(1);
  });

  it('goes on with the disk that a killed attempt had not finished', async () => {
    use({ images: [rawImage(raw, BYTES), rawImage(raw, BYTES)], container: 'vmdk-stream-optimized' });
    const stop = new AbortController();
    const { open: openSecond } = source;
    source.open = async (image, openSignal) => {
      if (source.opened === 1) stop.abort(new Error('worker stops'));
      return openSecond(image, openSignal);
    };
    await expect(convert(attempt(stop.signal))).rejects.toThrow('worker stops');
    source.open = openSecond;
    const before = await staged();
    expect(before).toHaveLength(1);
    const prepared = await convert();
    expect(await staged()).toEqual(expect.arrayContaining(before));
    expect(await equalsSource(prepared['1']?.file.path ?? '', 'vmdk')).toBe(true);
    expect(await equalsSource(prepared['0']?.file.path ?? '', 'vmdk')).toBe(true);
  });

  it('is written afresh where a killed attempt left no word that its file is whole', async () => {
    const converted = join(folder, 'staging/run-1/web01/converted');
    await mkdir(converted, { recursive: true });
    for (const name of ['disk-0.dead.vmdk', 'disk-0.dead.vmdk.partial', 'disk-10.vmdk']) {
      await writeFile(join(converted, name), 'half');
    }
    const prepared = await convertOne();
    expect(await equalsSource(prepared.file.path, 'vmdk')).toBe(true);
    expect(await staged()).toHaveLength(2);
    expect(await staged()).toContain('disk-10.vmdk');
  });

  it('is written afresh where its staged file was touched or is gone', async () => {
    const first = await convertOne();
    await appendFile(first.file.path, 'x');
    const second = await convertOne();
    expect(await equalsSource(second.file.path, 'vmdk')).toBe(true);
    await rm(second.file.path);
    expect(await equalsSource((await convertOne()).file.path, 'vmdk')).toBe(true);
    expect(source.opened).toBe(3);
  });

  it('stops long before it would have ended when aborted, and leaves no half file', async () => {
    source.serve = [
      '--object',
      'throttle-group,id=g,x-bps-total=200000',
      '--image-opts',
      `driver=throttle,throttle-group=g,file.driver=raw,file.file.driver=file,file.file.filename=${raw}`,
    ];
    const stop = new AbortController();
    const input = attempt(stop.signal);
    const running = convert(input);
    running.catch(() => {});
    while (!(await staged()).some((name) => name.endsWith('.partial'))) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    const abortedMs = performance.now();
    stop.abort(new Error('worker stops'));
    await expect(running).rejects.toThrow('worker stops');
    // At 200 kB/s the data takes more than ten seconds.
    expect(performance.now() - abortedMs).toBeLessThan(3_000);
    expect(await staged()).toEqual([]);
  });

  /** 16 TiB, empty, of which qemu cannot tell that it is. */
  async function createHuge(): Promise<string> {
    const path = join(folder, 'huge.vhdx');
    await runTool({
      command: 'qemu-img',
      args: ['create', '-f', 'vhdx', '-o', 'subformat=dynamic', path, '16T'],
    });
    return path;
  }

  it('needs no more room than the file of a format that does not compress', async () => {
    const vhdx = await writeImage('thin.vhdx', '-O', 'vhdx', '-o', 'subformat=dynamic');
    const huge = await createHuge();
    use({ images: [singleImage(vhdx, 'vhdx')], container: 'vmdk-stream-optimized' });
    expect(await equalsSource((await convertOne()).file.path, 'vmdk')).toBe(true);
    const need = await boundByFile(singleImage(huge, 'vhdx'));
    expect(need).toBeLessThan(2 ** 30);
  });

  it('is refused before a byte is written where staging has no room', async () => {
    const huge = await createHuge();
    use({ images: [singleImage(huge, 'qcow2')], container: 'vmdk-stream-optimized' });
    source.serve = ['-f', 'vhdx', huge];
    const error: unknown = await convert().catch((failure: unknown) => failure);
    expect(error).toMatchObject({ code: 'no-space', retryable: true });
    expect(error).toMatchObject({ context: { folder: join(folder, 'staging/run-1/web01/converted') } });
    expect((error as Error).message).toMatch(
      /disk 0 of web01 needs about 16\.?\d* TiB in .* are free\. Free some space/,
    );
    expect(await staged()).toEqual([]);
  });
});

describe('a disk that the target takes as it is', () => {
  async function expectAsIs(path: string): Promise<Prepared> {
    const prepared = await convertOne();
    expect(prepared).toMatchObject({ isStaged: false, file: { path, offsetBytes: 0 } });
    expect(prepared.lengthBytes).toBe((await stat(path)).size);
    expect(source.opened).toBe(0);
    expect(await staged()).toEqual([]);
    return prepared;
  }

  it('is a raw file for raw', async () => {
    use({ images: [rawImage(raw, BYTES)], container: 'raw' });
    await expectAsIs(raw);
  });

  it('is a stream-optimised VMDK', async () => {
    const vmdk = await writeImage('disk.vmdk', '-O', 'vmdk', '-o', 'subformat=streamOptimized');
    use({ images: [singleImage(vmdk, 'vmdk')], container: 'vmdk-stream-optimized' });
    await expectAsIs(vmdk);
  });

  it('is a fixed VHD of whole MiB', async () => {
    const vhd = await writeImage('disk.vhd', '-O', 'vpc', '-o', 'subformat=fixed,force_size=on');
    use({ images: [singleImage(vhd, 'vhd')], container: 'vhd-fixed' });
    await expectAsIs(vhd);
  });

  it("is an archive's member, read in place, and arrives as the member alone", async () => {
    const vmdk = await readFile(
      await writeImage('disk.vmdk', '-O', 'vmdk', '-o', 'subformat=streamOptimized'),
    );
    const path = join(folder, 'web01.ova');
    await writeFile(path, Buffer.concat([Buffer.alloc(1536, 7), vmdk, Buffer.alloc(2048)]));
    const file = { path, offsetBytes: 1536, lengthBytes: vmdk.length };
    const image: Image = { site: null, bytes: BYTES, layout: { kind: 'single', format: 'vmdk', file } };
    use({ images: [image], container: 'vmdk-stream-optimized' });
    const prepared = await convertOne();
    expect(prepared).toMatchObject({ isStaged: false, file, lengthBytes: vmdk.length });
    record = { ...record, prepared: { '0': prepared } };
    await runStep({ ...attempt(), job: createJob('upload', '0') });
    expect(target.contentOf('0').equals(vmdk)).toBe(true);
  });

  it.each([
    ['a sparse VMDK', 'vmdk', ['-O', 'vmdk', '-o', 'subformat=monolithicSparse'], 'vmdk-stream-optimized'],
    ['a dynamic VHD', 'vhd', ['-O', 'vpc', '-o', 'subformat=dynamic,force_size=on'], 'vhd-fixed'],
  ] as const)('is not %s', async (_, format, output, container) => {
    const path = await writeImage(`disk.${format}`, ...output);
    use({ images: [singleImage(path, format)], container });
    const prepared = await convertOne();
    expect(prepared.isStaged).toBe(true);
    expect(await equalsSource(prepared.file.path, format)).toBe(true);
  });
});

describe('a source that does not stay as it was exported', () => {
  async function exportAll(): Promise<void> {
    for (const { id } of record.machine.disks) await runStep({ ...attempt(), job: createJob('export', id) });
  }

  it('is refused when it changed between export and convert', async () => {
    await exportAll();
    await appendFile(raw, 'x');
    await expect(convert()).rejects.toMatchObject({
      code: 'source-changed',
      retryable: false,
      message: expect.stringContaining('landfall discard run-1 web01'),
    });
    expect(source.opened).toBe(0);
  });

  it('leaves nothing in staging when it changed under the copy', async () => {
    await exportAll();
    let looks = 0;
    source.onFingerprint = async () => {
      looks += 1;
      if (looks === 2) await appendFile(raw, 'x');
    };
    await expect(convert()).rejects.toMatchObject({ code: 'source-changed' });
    expect(source.opened).toBe(1);
    expect(await staged()).toEqual([]);
    expect(await attempt().context.checkpoints.get('convert/0')).toBeNull();
  });

  it('loses what an earlier attempt staged of it', async () => {
    await exportAll();
    await convert();
    await appendFile(raw, 'x');
    await expect(convert()).rejects.toMatchObject({ code: 'source-changed' });
    expect(await staged()).toEqual([]);
  });

  it('is copied afresh once it was exported again', async () => {
    await exportAll();
    await convert();
    await using file = await open(raw, 'r+');
    await file.write(randomBytes(MIB), 0, MIB, 5 * MIB);
    await exportAll();
    expect(await equalsSource((await convertOne()).file.path, 'vmdk')).toBe(true);
  });

  it('is refused while its machine runs', async () => {
    source.power = 'on';
    await expect(convert()).rejects.toMatchObject({ code: 'source-not-off', retryable: false });
    expect(source.opened).toBe(0);
  });
});
