import { readFile, stat, truncate, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ErrorCode } from '../../src/domain/errors.ts';
import { inspectHeader } from '../../src/images/header-guard.ts';
import { runTool } from '../../src/processes/child.ts';
import { patch, u32le, u64le } from './sample-images.ts';
import { openSpoiledSamples, refusal, type SpoiledSamples, whole } from './spoiled-samples.ts';

const MIB = 2 ** 20;

let folder: SpoiledSamples;
beforeAll(async () => {
  folder = await openSpoiledSamples(['sparse.vmdk', 'stream.vmdk']);
});
afterAll(() => folder[Symbol.asyncDispose]());

describe('inspectHeader of VMDK', () => {
  it.each<[string, string, string, ErrorCode]>([
    ['a parent', 'parentCID=ffffffff', 'parentCID=00000001', 'image-hostile'],
    ['a flat type', 'createType="monolithicSparse"', 'createType="monolithicFlat"', 'image-hostile'],
    ['an extent by path', 'SPARSE "sparse.vmdk"', 'SPARSE "../../a.vmdk"', 'image-hostile'],
    ['a flat extent', 'SPARSE "sparse.vmdk"', 'FLAT "sparse.vmdk" 0', 'image-hostile'],
    ['an unknown line', '#DDB', 'evil=1', 'image-hostile'],
    ['a raw device', 'SPARSE "sparse.vmdk"', 'VMFSRDM "sparse.vmdk"', 'image-unreadable'],
  ])('refuses %s in its descriptor', async (_name, old, fresh, code) => {
    const path = await folder.copyOf('sparse.vmdk');
    await rewriteDescriptor(path, (text) => text.replace(old, fresh));
    await refusal(path, code);
  });

  it('refuses a parent hidden behind the end of the descriptor, where qemu would still find it', async () => {
    const path = await folder.patched('sparse.vmdk', 512 + 9 * 1024, 'parentFileNameHint="/etc/passwd"');
    await patch(path, 36, u64le(4n));
    expect(await refusal(path, 'image-hostile')).toContain('parent');
  });

  it('refuses a descriptor of 1 MiB, and one that is elsewhere than qemu reads it', async () => {
    await refusal(await folder.patched('sparse.vmdk', 36, u64le(2048n)), 'image-hostile');
    await refusal(await folder.patched('sparse.vmdk', 28, u64le(2n)), 'image-hostile');
  });

  it.each<[string, number, Uint8Array, ErrorCode]>([
    ['version 9', 4, u32le(9), 'image-unreadable'],
    ['100 TiB', 12, u64le((100n << 40n) / 512n), 'image-hostile'],
    ['a capacity beyond 2^63 bytes', 12, u64le(0xffff_ffff_ffff_ffffn), 'image-hostile'],
    ['no capacity, which makes qemu believe the descriptor', 12, u64le(0n), 'image-corrupt'],
    ['grains of 3 sectors', 20, u64le(3n), 'image-corrupt'],
    ['grains of 1 TiB', 20, u64le(1n << 31n), 'image-corrupt'],
    ['grain tables without entries', 44, u32le(0), 'image-corrupt'],
    ['a directory beyond its end', 56, u64le(1n << 30n), 'image-corrupt'],
    ['no descriptor: one extent of a split disk', 28, u64le(0n), 'image-unreadable'],
  ])('refuses %s', async (_name, at, bytes, code) => {
    await refusal(await folder.patched('sparse.vmdk', at, bytes), code);
  });

  it('refuses a footer that disagrees with the header', async () => {
    const path = await folder.copyOf('vmware.vmdk');
    const { size } = await stat(path);
    await patch(path, size - 1024 + 12, u64le(20_480n));
    expect(await refusal(path, 'image-hostile')).toContain('capacitySectors');
  });

  it.each([
    ['vmware.vmdk', 'the last sector', (size: number) => size - 512],
    ['vmware.vmdk', 'half', (size: number) => Math.floor(size / 1024) * 512],
    ['vmware.vmdk', 'a few bytes', (size: number) => size - 7],
    ['stream.vmdk', 'half', (size: number) => Math.floor(size / 1024) * 512],
    ['stream.vmdk', 'nearly all', () => 8192],
    ['sparse.vmdk', 'half', (size: number) => Math.floor(size / 1024) * 512],
    ['sparse.vmdk', 'the last sector', (size: number) => size - 512],
  ])('finds %s without %s', async (file, _what, cut) => {
    const path = await folder.copyOf(file);
    await truncate(path, cut((await stat(path)).size));
    expect(await refusal(path, 'image-corrupt')).toMatch(/cut off/);
  });

  it('takes a last grain that ends with its disk, also under a later grain table', async () => {
    const raw = folder.join('uneven.raw');
    // 512 tables of 32 MiB each are read at once; this sector is under the next.
    const bytes = 16 * 1024 * MIB + 512;
    await writeFile(raw, 'x');
    await truncate(raw, bytes);
    await patch(raw, bytes - 512, 'the last sector');
    const path = folder.join('uneven.vmdk');
    await runTool({ command: 'qemu-img', args: ['convert', '-f', 'raw', '-O', 'vmdk', raw, path] });
    const end = (await readFile(path)).indexOf('the last sector') + 512;
    await truncate(path, end);
    expect(await inspectHeader(whole(path))).toMatchObject({ bytes });
    await truncate(path, end - 512);
    await refusal(path, 'image-corrupt');
  });

  it('refuses tables that overlap instead of reading them for hours', async () => {
    const path = await folder.copyOf('sparse.vmdk');
    const { size } = await stat(path);
    // A directory of 20,000 entries behind the file, all of which name the one table.
    const entry = (await readFile(path)).subarray(26 * 512, 26 * 512 + 4);
    await patch(path, size, Buffer.concat(Array.from({ length: 20_000 }, () => entry)));
    await patch(path, 56, u64le(BigInt(size / 512)));
    await patch(path, 12, u64le(20_000n * 65_536n));
    expect(await refusal(path, 'image-corrupt')).toContain('overlap');
  });
});

async function rewriteDescriptor(path: string, change: (text: string) => string): Promise<void> {
  const image = await readFile(path);
  const area = image.subarray(512, 21 * 512);
  const text = area.toString('latin1', 0, area.indexOf(0));
  const changed = change(text);
  expect(changed).not.toBe(text);
  await patch(path, 512, Buffer.concat([Buffer.from(changed, 'latin1'), Buffer.alloc(64)]));
}
