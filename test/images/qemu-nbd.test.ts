import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { copyFile, readdir, readFile, stat, truncate, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { openNbd } from '../../src/blocks/nbd-client.ts';
import type { Image, ImagePiece } from '../../src/domain/image.ts';
import { describeImage } from '../../src/images/describe-image.ts';
import { openImageOverNbd } from '../../src/images/qemu-nbd.ts';
import { runTool, startTool } from '../../src/processes/child.ts';
import { compareImages, type Readable } from './qemu-img.ts';
import {
  convertSample,
  openSampleFolder,
  patch,
  SAMPLE_BYTES,
  SAMPLES,
  type SampleFolder,
  u64be,
  writeSampleDisk,
  writeStreamVmdk,
} from './sample-images.ts';

let folder: SampleFolder;
let raw: string;

beforeAll(async () => {
  folder = await openSampleFolder();
  raw = folder.join('sample.raw');
  await writeSampleDisk(raw);
});

afterAll(() => folder[Symbol.asyncDispose]());

const signal = AbortSignal.timeout(100_000);

async function imageOf(path: string): Promise<Image> {
  return { site: null, ...(await describeImage({ path })).image };
}

function rawFile(path: string): Readable {
  return { format: 'raw', file: { path, offsetBytes: 0, lengthBytes: null } };
}

async function equals(image: Image, expected: string): Promise<boolean> {
  await using opened = await openImageOverNbd(image, signal);
  expect(opened.bytes).toBe((await stat(expected)).size);
  return await compareImages({ left: { uri: opened.uri }, right: rawFile(expected), signal });
}

function socketOf(uri: string): string {
  return new URL(uri).searchParams.get('socket') ?? '';
}

async function askExportBytes(socketPath: string): Promise<number> {
  await using client = await openNbd({ uri: `nbd+unix:///?socket=${socketPath}`, signal });
  return client.bytes;
}

/** Processes that have this text in their command line. */
async function processesWith(text: string): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const lines = await Promise.all(
    pids.map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')),
  );
  return pids.filter((_pid, index) => lines[index]?.includes(text)).map(Number);
}

async function until(isSo: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!(await isSo())) {
    if (performance.now() > deadline) expect.unreachable('it did not come true within 10 s');
    await sleep(20);
  }
}

describe('openImageOverNbd', () => {
  it.each(SAMPLES.map(({ file }) => file))('serves %s with the bytes of its source', async (file) => {
    const image = await imageOf(await convertSample({ raw, folder, file }));
    expect(image.bytes).toBe(SAMPLE_BYTES);
    expect(await equals(image, raw)).toBe(true);
  });

  it('serves a raw disk, and one that begins with a container header, as their very bytes', async () => {
    expect(await equals(await imageOf(raw), raw)).toBe(true);
    const disguised = folder.join('disguised.raw');
    await copyFile(await convertSample({ raw, folder, file: 'v3.qcow2' }), disguised);
    const { image } = await describeImage({ path: disguised, format: 'raw' });
    expect(await equals({ site: null, ...image }, disguised)).toBe(true);
  });

  it('serves members of an archive in place', async () => {
    const vmware = folder.join('vmware.vmdk');
    await writeStreamVmdk(vmware, await readFile(raw));
    const parts = [
      vmware,
      await convertSample({ raw, folder, file: 'v3.qcow2' }),
      await convertSample({ raw, folder, file: 'fixed.vhd' }),
      raw,
    ];
    const archive = folder.join('archive.ova');
    const names = parts.map((part) => part.slice(folder.path.length + 1));
    await runTool({ command: 'tar', args: ['-C', folder.path, '-cf', archive, ...names] });
    let offsetBytes = 512;
    for (const [index, format] of (['vmdk', 'qcow2', 'vhd', 'raw'] as const).entries()) {
      const lengthBytes = (await stat(parts[index] ?? '')).size;
      const file = { path: archive, offsetBytes, lengthBytes };
      const image: Image = { site: null, bytes: SAMPLE_BYTES, layout: { kind: 'single', format, file } };
      expect(await equals(image, raw), format).toBe(true);
      offsetBytes += Math.ceil(lengthBytes / 512) * 512 + 512;
    }
  });

  it('serves the size in a VHD footer, not the geometry that qemu would take for other makers', async () => {
    const path = folder.join('virtualbox.vhd');
    await copyFile(await convertSample({ raw, folder, file: 'fixed.vhd' }), path);
    const footer = Buffer.from((await readFile(path)).subarray(-512));
    footer.write('vbox', 28, 'latin1');
    footer.set([0, 9, 16, 63], 56);
    footer.writeUInt32BE(0, 64);
    footer.writeUInt32BE(~footer.reduce((sum, byte) => sum + byte, 0) >>> 0, 64);
    await patch(path, SAMPLE_BYTES, footer);
    expect(await equals(await imageOf(path), raw)).toBe(true);
  });

  it('puts pieces together in order, zeros included', async () => {
    const extent = await convertSample({ raw, folder, file: 'sparse.vmdk' });
    const pieces: ImagePiece[] = [
      { kind: 'raw', bytes: 2 ** 20, file: { path: raw, offsetBytes: 2 ** 20, lengthBytes: 2 ** 20 } },
      { kind: 'zero', bytes: 3 * 2 ** 20 },
      { kind: 'vmdk-sparse', bytes: SAMPLE_BYTES, file: { path: extent, offsetBytes: 0, lengthBytes: null } },
      { kind: 'raw', bytes: 512, file: { path: raw, offsetBytes: SAMPLE_BYTES - 512, lengthBytes: 512 } },
    ];
    const source = await readFile(raw);
    const expected = folder.join('expected.raw');
    await writeFile(
      expected,
      Buffer.concat([
        source.subarray(2 ** 20, 2 ** 21),
        Buffer.alloc(3 * 2 ** 20),
        source,
        source.subarray(-512),
      ]),
    );
    const image: Image = { site: null, bytes: 9 * 2 ** 20 + 512, layout: { kind: 'pieces', pieces } };
    expect(await equals(image, expected)).toBe(true);
  });

  it('serves a blank disk of zeros', async () => {
    const zeros = folder.join('zeros.raw');
    await writeFile(zeros, '');
    await truncate(zeros, 2 ** 30);
    expect(await equals({ site: null, bytes: 2 ** 30, layout: { kind: 'blank' } }, zeros)).toBe(true);
  });

  it('refuses writes', async () => {
    await using opened = await openImageOverNbd(await imageOf(raw), signal);
    const args = ['-f', 'raw', '-c', 'write 0 512', opened.uri];
    await expect(runTool({ command: 'qemu-io', args })).rejects.toThrow(/denied|read.?only|not permitted/i);
  });

  it('serves several readers at once and stays when they leave', async () => {
    await using opened = await openImageOverNbd(await imageOf(raw), signal);
    const compare = () => compareImages({ left: { uri: opened.uri }, right: rawFile(raw), signal });
    expect(await Promise.all([compare(), compare(), compare()])).toEqual([true, true, true]);
    expect(await compare()).toBe(true);
  });

  it('keeps its socket from other users', async () => {
    await using opened = await openImageOverNbd(await imageOf(raw), signal);
    expect((await stat(dirname(socketOf(opened.uri)))).mode & 0o077).toBe(0);
  });

  it('ends the server and removes its folder when it is disposed of', async () => {
    const opened = await openImageOverNbd(await imageOf(raw), signal);
    const socketPath = socketOf(opened.uri);
    expect(await processesWith(socketPath)).not.toEqual([]);
    await opened[Symbol.asyncDispose]();
    expect(await processesWith(socketPath)).toEqual([]);
    expect(existsSync(dirname(socketPath))).toBe(false);
    await opened[Symbol.asyncDispose]();
  });

  it('ends the server when its signal is aborted', async () => {
    const stop = new AbortController();
    await using opened = await openImageOverNbd(await imageOf(raw), stop.signal);
    stop.abort();
    await until(async () => (await processesWith(socketOf(opened.uri))).length === 0);
    await expect(openImageOverNbd(await imageOf(raw), stop.signal)).rejects.toThrow(/abort/i);
  });

  it('refuses an image that turned hostile or changed its size since it was described', async () => {
    const path = folder.join('turned.qcow2');
    await copyFile(await convertSample({ raw, folder, file: 'v3.qcow2' }), path);
    const image = await imageOf(path);
    const grown = { ...image, bytes: image.bytes + 512 };
    await expect(openImageOverNbd(grown, signal)).rejects.toMatchObject({ code: 'source-changed' });
    await patch(path, 8, u64be(0x200n));
    await expect(openImageOverNbd(image, signal)).rejects.toMatchObject({ code: 'image-hostile' });
  });

  it('says that the source is not off while a virtual machine writes to it', async () => {
    const path = folder.join('running.qcow2');
    await copyFile(await convertSample({ raw, folder, file: 'v3.qcow2' }), path);
    const image = await imageOf(path);
    const socketPath = folder.join('writer');
    await using writer = await startTool({
      command: 'qemu-nbd',
      args: ['-t', '-f', 'qcow2', '-k', socketPath, path],
    });
    await until(async () => (await askExportBytes(socketPath).catch(() => 0)) === SAMPLE_BYTES);
    await expect(openImageOverNbd(image, signal)).rejects.toMatchObject({ code: 'source-not-off' });
    await writer.stop();
    await (await openImageOverNbd(image, signal))[Symbol.asyncDispose]();
  });

  it('leaves no qemu-nbd behind when its process is killed', async () => {
    const program = `
      import { openImageOverNbd } from ${JSON.stringify(new URL('../../src/images/qemu-nbd.ts', import.meta.url).href)};
      const image = JSON.parse(process.argv[1]);
      const opened = await openImageOverNbd(image, new AbortController().signal);
      console.log(opened.uri);
      setInterval(() => {}, 1000);
    `;
    const args = ['--input-type=module', '-e', program, JSON.stringify(await imageOf(raw))];
    const environment = { ...process.env, TMPDIR: folder.path };
    const parent = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'], env: environment });
    onTestFinished(() => void parent.kill('SIGKILL'));
    const [output] = (await once(parent.stdout, 'data')) as [Buffer];
    const socketPath = socketOf(output.toString().trim());
    expect(await askExportBytes(socketPath)).toBe(SAMPLE_BYTES);
    parent.kill('SIGKILL');
    await once(parent, 'exit');
    await until(async () => (await processesWith(socketPath)).length === 0);
  });
});
