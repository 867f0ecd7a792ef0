import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { copyFile, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Container, OpenImage, QemuFormat } from '../../src/domain/image.ts';
import { describeImage } from '../../src/images/describe-image.ts';
import { inspectHeader } from '../../src/images/header-guard.ts';
import {
  compareImages,
  convertImage,
  imageInfo,
  measureImage,
  parseProgress,
  type Readable,
} from '../../src/images/qemu-img.ts';
import { openImageOverNbd } from '../../src/images/qemu-nbd.ts';
import {
  convertSample,
  openSampleFolder,
  patch,
  SAMPLE_BYTES,
  type SampleFolder,
  writeSampleDisk,
} from './sample-images.ts';

let folder: SampleFolder;
let raw: string;
let source: OpenImage;

const signal = AbortSignal.timeout(100_000);

beforeAll(async () => {
  folder = await openSampleFolder();
  raw = folder.join('sample.raw');
  await writeSampleDisk(raw);
  const path = await convertSample({ raw, folder, file: 'v3.qcow2' });
  source = await openImageOverNbd({ site: null, ...(await describeImage({ path })).image }, signal);
});

afterAll(async () => {
  await source[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
});

function readable(path: string, format: QemuFormat = 'raw'): Readable {
  return { format, file: { path, offsetBytes: 0, lengthBytes: null } };
}

const TARGETS: [Container, QemuFormat, string | null][] = [
  ['vmdk-stream-optimized', 'vmdk', 'streamOptimized'],
  ['vhd-fixed', 'vhd', 'fixed'],
  ['raw', 'raw', null],
];

describe('convertImage', () => {
  it.each(TARGETS)('writes %s with the bytes of its source', async (container, format, subformat) => {
    const to = folder.join(`out-${container}`);
    const seen: number[] = [];
    const onProgress = (fraction: number) => void seen.push(fraction);
    const { lengthBytes } = await convertImage({ from: source.uri, to, container, onProgress, signal });
    expect((await stat(to)).size).toBe(lengthBytes);
    expect(existsSync(`${to}.partial`)).toBe(false);
    const header = await inspectHeader({ path: to, offsetBytes: 0, lengthBytes: null });
    expect(header).toEqual({ format, bytes: SAMPLE_BYTES, subformat });
    expect(await compareImages({ left: readable(to, format), right: readable(raw), signal })).toBe(true);
    expect(seen.at(-1)).toBe(1);
    expect(seen).toEqual([...new Set(seen)].sort((a, b) => a - b));
  });

  it.each(TARGETS)('stays within the space that measureImage foretold for %s', async (container) => {
    const to = folder.join(`measured-${container}`);
    const { expectedBytes, maximumBytes } = await measureImage({ from: source.uri, container, signal });
    await convertImage({ from: source.uri, to, container, onProgress: () => {}, signal });
    const { blocks } = await stat(to);
    expect(blocks * 512).toBeLessThanOrEqual(expectedBytes);
    expect(expectedBytes).toBeLessThan(2 ** 20 * 1.5);
    expect(maximumBytes).toBeGreaterThanOrEqual(SAMPLE_BYTES);
  });

  it('replaces what a killed attempt left', async () => {
    const to = folder.join('again.raw');
    await writeFile(`${to}.partial`, 'half');
    await convertImage({ from: source.uri, to, container: 'raw', onProgress: () => {}, signal });
    expect(await readFile(to)).toEqual(await readFile(raw));
  });

  it('leaves nothing when it is aborted', async () => {
    const to = folder.join('aborted.vmdk');
    const stop = new AbortController();
    const running = convertImage({
      from: source.uri,
      to,
      container: 'vmdk-stream-optimized',
      onProgress: () => stop.abort(),
      signal: stop.signal,
    });
    await expect(running).rejects.toThrow(/abort/i);
    expect((await readdir(folder.path)).filter((name) => name.startsWith('aborted'))).toEqual([]);
  });

  it('gives way to a successor that began the same file, and leaves that alone', async () => {
    const to = folder.join('contested.raw');
    const running = convertImage({
      from: source.uri,
      to,
      container: 'raw',
      onProgress: (fraction) => {
        if (fraction < 1) return;
        rmSync(`${to}.partial`);
        writeFileSync(`${to}.partial`, 'the successor writes');
      },
      signal,
    });
    await expect(running).rejects.toMatchObject({ code: 'lease-lost' });
    expect(await readFile(`${to}.partial`, 'utf8')).toBe('the successor writes');
    expect(existsSync(to)).toBe(false);
  });

  it('names the folder that is missing', async () => {
    const to = folder.join('nowhere/out.raw');
    const running = convertImage({ from: source.uri, to, container: 'raw', onProgress: () => {}, signal });
    await expect(running).rejects.toThrow(/nowhere/);
  });

  it('may be tried again when the source stops answering', async () => {
    const to = folder.join('lost.raw');
    const from = `nbd+unix:///?socket=${folder.join('no-such-socket')}`;
    const running = convertImage({ from, to, container: 'raw', onProgress: () => {}, signal });
    await expect(running).rejects.toMatchObject({ retryable: true });
    expect(existsSync(`${to}.partial`)).toBe(false);
  });
});

describe('imageInfo and compareImages', () => {
  it('tell what qemu understands of an image', async () => {
    const path = folder.join('v3.qcow2');
    expect(await imageInfo({ image: readable(path, 'qcow2'), signal })).toEqual({
      format: 'qcow2',
      bytes: SAMPLE_BYTES,
    });
    expect(await imageInfo({ image: { uri: source.uri }, signal })).toMatchObject({ bytes: SAMPLE_BYTES });
  });

  it('see one byte that differs', async () => {
    const other = folder.join('other.raw');
    await copyFile(raw, other);
    await patch(other, SAMPLE_BYTES - 1, new Uint8Array([(await readFile(raw)).at(-1) === 0 ? 1 : 0]));
    expect(await compareImages({ left: { uri: source.uri }, right: readable(raw), signal })).toBe(true);
    expect(await compareImages({ left: { uri: source.uri }, right: readable(other), signal })).toBe(false);
  });

  it('fail loudly where an image cannot be read', async () => {
    const gone = compareImages({ left: readable(folder.join('gone')), right: readable(raw), signal });
    await expect(gone).rejects.toMatchObject({ code: 'source-changed' });
  });
});

describe('parseProgress', () => {
  it('reads the fraction from a line of qemu-img and nothing from others', () => {
    expect(parseProgress('    (12.50/100%)')).toBe(0.125);
    expect(parseProgress('    (100.00/100%)')).toBe(1);
    expect(parseProgress('qemu-img: warning')).toBeNull();
  });
});
