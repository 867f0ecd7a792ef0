import { readFile, stat } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { crc32c } from '../../src/images/crc32c.ts';
import { inspectHeader } from '../../src/images/header-guard.ts';
import { patch, SAMPLE_BYTES, u32le, u64le } from './sample-images.ts';
import { openSpoiledSamples, refusal, type SpoiledSamples, whole } from './spoiled-samples.ts';

const MIB = 2 ** 20;

/** GUIDs as they lie in the file. */
const FILE_PARAMETERS = '3767a1ca36fa434db3b633f0aa44e76b';
const DISK_SIZE = '2442a52f1bcd7648b2115dbed83bf4b8';
const SECTOR_SIZE = '1dbf41816fa90947ba47f233a8faab5f';

let folder: SpoiledSamples;
beforeAll(async () => {
  folder = await openSpoiledSamples(['fixed.vhdx', 'dynamic.vhdx']);
});
afterAll(() => folder[Symbol.asyncDispose]());

describe('inspectHeader of VHDX', () => {
  it('refuses a parent, by flag and by locator', async () => {
    const { parameters, entry } = await findFileParameters();
    const flagged = await folder.patched('dynamic.vhdx', parameters + 4, u32le(2));
    expect(await refusal(flagged, 'image-hostile')).toContain('differencing');
    const locator = Buffer.from('2d5fd3a80bb34d45abf7d3d84834ab0c', 'hex');
    const located = await folder.patched('dynamic.vhdx', entry, locator);
    expect(await refusal(located, 'image-hostile')).toContain('differencing');
  });

  it('takes an image whose older header is torn, and refuses one with both torn', async () => {
    const path = await folder.copyOf('dynamic.vhdx');
    const sequences = await Promise.all([64, 128].map((kib) => readU64(path, kib * 1024 + 8)));
    const [older, newer] = (sequences[0] ?? 0n) < (sequences[1] ?? 0n) ? [64, 128] : [128, 64];
    await patch(path, older * 1024 + 200, 'torn');
    expect(await inspectHeader(whole(path))).toMatchObject({ bytes: SAMPLE_BYTES });
    await patch(path, newer * 1024 + 200, 'torn');
    expect(await refusal(path, 'image-corrupt')).toContain('headers');
  });

  it('refuses a torn region table', async () => {
    expect(
      await refusal(await folder.patched('dynamic.vhdx', 192 * 1024 + 300, 'x'), 'image-corrupt'),
    ).toContain('region table');
  });

  it('refuses a log that must be replayed first', async () => {
    const path = await folder.copyOf('dynamic.vhdx');
    for (const at of [64 * 1024, 128 * 1024])
      await reseal(path, { at, bytes: 4096 }, (head) => head.fill(9, 48, 64));
    expect(await refusal(path, 'image-corrupt')).toContain('log');
  });

  it('refuses 100 TiB and sectors of 4096 bytes', async () => {
    const size = await folder.patched('dynamic.vhdx', await findItem(DISK_SIZE), u64le(100n << 40n));
    expect(await refusal(size, 'image-hostile')).toContain('TiB');
    const sectors = await folder.patched('dynamic.vhdx', await findItem(SECTOR_SIZE), u32le(4096));
    expect(await refusal(sectors, 'image-unreadable')).toContain('4096');
  });

  it('refuses a required region that is not known', async () => {
    const path = await folder.copyOf('dynamic.vhdx');
    await reseal(path, { at: 192 * 1024, bytes: 65_536 }, (table) => {
      const count = table.readUInt32LE(8);
      table.writeUInt32LE(count + 1, 8);
      table.copy(table, 16 + count * 32, 16, 48);
      table.fill(0xee, 16 + count * 32, 16 + count * 32 + 16);
      table.writeUInt32LE(1, 16 + count * 32 + 28);
    });
    await refusal(path, 'image-hostile');
  });

  it.each(['dynamic.vhdx', 'fixed.vhdx'])('finds %s cut off', async (file) => {
    const path = folder.join(file);
    for (const lengthBytes of [1024, 200 * 1024, MIB, 3 * MIB, (await stat(path)).size - 9 * MIB]) {
      await expect(inspectHeader({ path, offsetBytes: 0, lengthBytes })).rejects.toMatchObject({
        code: 'image-corrupt',
      });
    }
  });
});

async function reseal(
  path: string,
  { at, bytes }: { at: number; bytes: number },
  change: (area: Buffer) => void,
): Promise<void> {
  const area = Buffer.from((await readFile(path)).subarray(at, at + bytes));
  change(area);
  area.writeUInt32LE(0, 4);
  area.writeUInt32LE(crc32c(area), 4);
  await patch(path, at, area);
}

async function readU64(path: string, at: number): Promise<bigint> {
  return (await readFile(path)).readBigUInt64LE(at);
}

async function findFileParameters(): Promise<{ parameters: number; entry: number }> {
  const image = await readFile(folder.join('dynamic.vhdx'));
  return {
    parameters: await findItem(FILE_PARAMETERS),
    // Another item's entry is turned into a locator; the guard must see it before it misses the other.
    entry: image.indexOf(Buffer.from(SECTOR_SIZE, 'hex')),
  };
}

/** Where an item's value lies: its entry names an offset within the metadata region. */
async function findItem(guid: string): Promise<number> {
  const image = await readFile(folder.join('dynamic.vhdx'));
  const entry = image.indexOf(Buffer.from(guid, 'hex'));
  expect(entry).toBeGreaterThan(0);
  return image.indexOf('metadata') + image.readUInt32LE(entry + 16);
}
