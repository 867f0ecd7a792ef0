import { readFile, stat, truncate } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ErrorCode } from '../../src/domain/errors.ts';
import { inspectHeader } from '../../src/images/header-guard.ts';
import { patch, SAMPLE_BYTES } from './sample-images.ts';
import { openSpoiledSamples, refusal, type SpoiledSamples, whole } from './spoiled-samples.ts';

const MIB = 2 ** 20;

let folder: SpoiledSamples;
beforeAll(async () => {
  folder = await openSpoiledSamples(['fixed.vhd', 'dynamic.vhd']);
});
afterAll(() => folder[Symbol.asyncDispose]());

describe('inspectHeader of VHD', () => {
  it('refuses a differencing disk', async () => {
    const path = await folder.copyOf('dynamic.vhd');
    const { size } = await stat(path);
    for (const at of [0, size - 512]) await patchFooter(path, at, (footer) => footer.writeUInt32BE(4, 60));
    expect(await refusal(path, 'image-hostile')).toContain('differencing');
  });

  it.each([
    ['dynamic.vhd', 'its footer', -1],
    ['dynamic.vhd', 'the copy at its head', 0],
    ['fixed.vhd', 'its footer', -1],
  ])('refuses %s with a wrong checksum in %s', async (file, _what, at) => {
    const path = await folder.copyOf(file);
    const { size } = await stat(path);
    await patch(path, (at === 0 ? 0 : size - 512) + 100, 'x');
    expect(await refusal(path, 'image-corrupt')).toContain('checksum');
  });

  it('refuses a wrong checksum in the dynamic header', async () => {
    expect(await refusal(await folder.patched('dynamic.vhd', 512 + 200, 'x'), 'image-corrupt')).toContain(
      'dynamic header',
    );
  });

  it.each<[string, bigint, ErrorCode]>([
    ['100 TiB', 100n << 40n, 'image-hostile'],
    ['zero', 0n, 'image-corrupt'],
    ['more than the file holds', 6n << 20n, 'image-corrupt'],
  ])('refuses a fixed VHD that claims %s', async (_name, bytes, code) => {
    const path = await folder.copyOf('fixed.vhd');
    await patchFooter(path, SAMPLE_BYTES, (footer) => footer.writeBigUInt64BE(bytes, 48));
    await refusal(path, code);
  });

  it('believes the size in the footer, not the smaller geometry that qemu prefers for other makers', async () => {
    const path = await folder.copyOf('dynamic.vhd');
    const { size } = await stat(path);
    for (const at of [0, size - 512]) {
      await patchFooter(path, at, (footer) => {
        footer.write('vbox', 28, 'latin1');
        footer.set([0, 9, 16, 63], 56);
      });
    }
    expect(await inspectHeader(whole(path))).toMatchObject({ bytes: SAMPLE_BYTES });
  });

  it('refuses a head that disagrees with the footer', async () => {
    const path = await folder.copyOf('dynamic.vhd');
    await patchFooter(path, 0, (footer) => footer.writeBigUInt64BE(BigInt(4 * MIB), 48));
    await refusal(path, 'image-hostile');
  });

  it('refuses a fixed disk whose guest wrote a VHD footer into its first sector', async () => {
    const path = await folder.copyOf('fixed.vhd');
    await patch(path, 0, (await readFile(folder.join('dynamic.vhd'))).subarray(0, 512));
    await refusal(path, 'image-hostile');
  });

  it.each(['dynamic.vhd', 'fixed.vhd'])(
    'finds %s cut off, though a fixed one then looks raw',
    async (file) => {
      const path = await folder.copyOf(file);
      await truncate(path, (await stat(path)).size - 512);
      expect(await refusal(path, 'image-corrupt')).toContain('cut off');
    },
  );

  it('refuses a block table far longer than the disk needs before reading it', async () => {
    const path = await folder.copyOf('dynamic.vhd');
    const { size } = await stat(path);
    const footer = (await readFile(path)).subarray(-512);
    const entries = 2 ** 28;
    await patchSummed(path, { offset: 512, lengthBytes: 1024, sumAt: 36 }, (header) => {
      header.writeUInt32BE(entries, 28);
    });
    // As long as its table says, and sparse: nothing but the bound refuses it.
    await truncate(path, size + entries * 4);
    await patch(path, size + entries * 4, footer);
    expect(await refusal(path, 'image-corrupt')).toContain(`${entries} entries`);
  });

  it('finds blocks beyond the end', async () => {
    const path = await folder.copyOf('dynamic.vhd');
    const footer = (await readFile(path)).subarray(-512);
    await truncate(path, MIB);
    await patch(path, MIB, footer);
    expect(await refusal(path, 'image-corrupt')).toContain('block');
  });
});

function patchFooter(path: string, offset: number, change: (footer: Buffer) => void): Promise<void> {
  return patchSummed(path, { offset, lengthBytes: 512, sumAt: 64 }, change);
}

type Summed = { offset: number; lengthBytes: number; sumAt: number };

async function patchSummed(
  path: string,
  { offset, lengthBytes, sumAt }: Summed,
  change: (bytes: Buffer) => void,
): Promise<void> {
  const bytes = Buffer.from((await readFile(path)).subarray(offset, offset + lengthBytes));
  change(bytes);
  bytes.writeUInt32BE(0, sumAt);
  const sum = bytes.reduce((total, byte) => total + byte, 0);
  bytes.writeUInt32BE(~sum >>> 0, sumAt);
  await patch(path, offset, bytes);
}
