import { readFileSync } from 'node:fs';
import { copyFile, mkdir, open, readFile, stat, truncate, writeFile } from 'node:fs/promises';
import { basename } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { asLandfallError, type ErrorCode, LandfallError } from '../../src/domain/errors.ts';
import { crc32c } from '../../src/images/crc32c.ts';
import { inspectHeader } from '../../src/images/header-guard.ts';
import { runTool } from '../../src/processes/child.ts';
import {
  convertSample,
  openSampleFolder,
  patch,
  SAMPLE_BYTES,
  type SampleFolder,
  type SampleName,
  u32be,
  u32le,
  u64be,
  u64le,
  writeSampleDisk,
  writeStreamVmdk,
} from './sample-images.ts';

const MIB = 2 ** 20;
let folder: SampleFolder;
let copies = 0;

beforeAll(async () => {
  folder = await openSampleFolder();
  await writeSampleDisk(folder.join('sample.raw'));
  await writeStreamVmdk(folder.join('vmware.vmdk'), await readFile(folder.join('sample.raw')));
  for (const file of SINGLE_FILES) await convertSample({ raw: folder.join('sample.raw'), folder, file });
});

afterAll(() => folder[Symbol.asyncDispose]());

const SINGLE_FILES = [
  'v3.qcow2',
  'v2.qcow2',
  'small-clusters.qcow2',
  'sparse.vmdk',
  'stream.vmdk',
  'fixed.vhd',
  'dynamic.vhd',
  'fixed.vhdx',
  'dynamic.vhdx',
] as const satisfies readonly SampleName[];

function whole(path: string) {
  return { path, offsetBytes: 0, lengthBytes: null };
}

/** A copy of a sample to be spoiled. */
async function copyOf(file: string): Promise<string> {
  copies += 1;
  const path = folder.join(`${copies}-${basename(file)}`);
  await copyFile(folder.join(file), path);
  return path;
}

async function patched(file: string, at: number, bytes: Uint8Array | string): Promise<string> {
  const path = await copyOf(file);
  await patch(path, at, bytes);
  return path;
}

/** Expects a refusal that names the file, and gives its message. */
async function refusal(path: string, code: ErrorCode): Promise<string> {
  const outcome = await inspectHeader(whole(path)).catch((error: unknown) => error);
  expect(outcome).toBeInstanceOf(LandfallError);
  const error = asLandfallError(outcome);
  expect(error.code, error.message).toBe(code);
  expect(error.message).toContain(path);
  return error.message;
}

describe('inspectHeader', () => {
  it.each([
    ['v3.qcow2', 'qcow2', null],
    ['v2.qcow2', 'qcow2', null],
    ['small-clusters.qcow2', 'qcow2', null],
    ['sparse.vmdk', 'vmdk', 'monolithicSparse'],
    ['stream.vmdk', 'vmdk', 'streamOptimized'],
    ['vmware.vmdk', 'vmdk', 'streamOptimized'],
    ['fixed.vhd', 'vhd', 'fixed'],
    ['dynamic.vhd', 'vhd', 'dynamic'],
    ['fixed.vhdx', 'vhdx', 'fixed'],
    ['dynamic.vhdx', 'vhdx', 'dynamic'],
    ['sample.raw', 'raw', null],
  ])('takes %s as %s by its bytes, whatever its name', async (file, format, subformat) => {
    const nameless = await copyOf(file);
    const misnamed = folder.join(`${copies}.img`);
    await copyFile(nameless, misnamed);
    expect(await inspectHeader(whole(misnamed))).toEqual({ format, bytes: SAMPLE_BYTES, subformat });
  });

  it('reads an image within another file, and names the member in its refusal', async () => {
    const image = await readFile(folder.join('vmware.vmdk'));
    const archive = folder.join('appliance.bin');
    await writeFile(archive, Buffer.concat([Buffer.alloc(1536, 7), image, Buffer.alloc(4096, 7)]));
    const slice = { path: archive, offsetBytes: 1536, lengthBytes: image.length };
    const label = `${archive}!disk1.vmdk`;
    expect(await inspectHeader(slice, { label })).toMatchObject({ format: 'vmdk', bytes: SAMPLE_BYTES });
    const cut = { ...slice, lengthBytes: image.length - 512 };
    await expect(inspectHeader(cut, { label })).rejects.toThrow(`${label}: it does not end with the footer`);
    const beyond = { ...slice, lengthBytes: image.length + 8192 };
    await expect(inspectHeader(beyond, { label })).rejects.toMatchObject({ code: 'image-corrupt' });
  });

  it('takes a disk that begins with a container header as raw only where that is demanded', async () => {
    const path = folder.join('v3.qcow2');
    const { size } = await stat(path);
    expect(await inspectHeader(whole(path), { format: 'raw' })).toEqual({
      format: 'raw',
      bytes: size,
      subformat: null,
    });
    await expect(inspectHeader(whole(path), { format: 'vhd' })).rejects.toThrow(
      /should be vhd, but its bytes say qcow2/,
    );
  });

  it('stops when its signal is aborted', async () => {
    const signal = AbortSignal.abort();
    await expect(inspectHeader(whole(folder.join('sample.raw')), { signal })).rejects.toThrow(/abort/i);
  });

  it('says what is wrong with a path that holds no image', async () => {
    await refusal(folder.join('none.img'), 'image-missing');
    await mkdir(folder.join('folder.img'));
    expect(await refusal(folder.join('folder.img'), 'image-unreadable')).toContain('a folder');
    await runTool({ command: 'mkfifo', args: [folder.join('pipe.img')] });
    await refusal(folder.join('pipe.img'), 'image-unreadable');
    await writeFile(folder.join('empty.img'), '');
    await refusal(folder.join('empty.img'), 'image-corrupt');
    await writeFile(folder.join('odd.img'), Buffer.alloc(1000));
    expect(await refusal(folder.join('odd.img'), 'image-corrupt')).toContain('512-byte sectors');
  });

  it.each([
    ['gzip', '\x1f\x8b\x08', 0],
    ['VDI', '\x7f\x10\xda\xbe', 0x40],
    ['tar archive', 'ustar', 257],
    ['COWD', 'COWD', 0],
  ])('refuses to migrate a %s file as if it were a raw disk', async (name, magic, at) => {
    const path = await patched('sample.raw', at, magic);
    await patch(path, 0, magic.padStart(at + magic.length, '\0'));
    expect(await refusal(path, 'image-unreadable')).toContain(name);
  });

  it('refuses a descriptor that names other files where one image is wanted', async () => {
    const path = folder.join('alone.vmdk');
    await writeFile(path, '# Disk DescriptorFile\nversion=1\nRW 1 FLAT "/etc/shadow" 0\n');
    expect(await refusal(path, 'image-hostile')).toContain('names other files');
  });
});

describe('inspectHeader of qcow2', () => {
  it('refuses a backing file, as qemu-img makes it', async () => {
    const path = folder.join('overlay.qcow2');
    const base = folder.join('v3.qcow2');
    await runTool({ command: 'qemu-img', args: ['create', '-qf', 'qcow2', '-b', base, '-F', 'qcow2', path] });
    expect(await refusal(path, 'image-hostile')).toContain('qemu-img convert');
  });

  it('refuses an external data file, by feature bit and by extension', async () => {
    const path = folder.join('outside.qcow2');
    const options = `data_file=${folder.join('outside.data')},data_file_raw=on`;
    await runTool({ command: 'qemu-img', args: ['create', '-qf', 'qcow2', '-o', options, path, '5M'] });
    expect(await refusal(path, 'image-hostile')).toContain('data file');
    await patch(path, 0x48, u64be(0n));
    expect(await refusal(path, 'image-hostile')).toContain('data file');
  });

  it.each<[string, number, Uint8Array, ErrorCode]>([
    ['version 1', 4, u32be(1), 'image-unreadable'],
    ['version 4', 4, u32be(4), 'image-unreadable'],
    ['an unknown incompatible feature', 0x48, u64be(1n << 5n), 'image-hostile'],
    ['extended L2 entries', 0x48, u64be(1n << 4n), 'image-hostile'],
    ['a data file, by feature bit alone', 0x48, u64be(4n), 'image-hostile'],
    ['encryption', 0x20, u32be(2), 'image-unreadable'],
    ['a mark of corruption', 0x48, u64be(2n), 'image-corrupt'],
    ['100 TiB', 0x18, u64be(100n << 40n), 'image-hostile'],
    ['zero bytes', 0x18, u64be(0n), 'image-corrupt'],
    ['half a sector', 0x18, u64be(5n * 1024n * 1024n + 100n), 'image-corrupt'],
    ['a size that its L1 table does not cover', 0x18, u64be(5n << 40n), 'image-corrupt'],
    ['an L1 table beyond its end', 0x28, u64be(1n << 40n), 'image-corrupt'],
    ['an L1 table beyond 2^53', 0x28, u64be(1n << 60n), 'image-corrupt'],
    ['a refcount table beyond its end', 0x30, u64be(1n << 40n), 'image-corrupt'],
    ['a huge refcount table', 0x38, u32be(0xffff_ffff), 'image-corrupt'],
    ['clusters of 2^40', 0x14, u32be(40), 'image-corrupt'],
    ['a header of 8 bytes', 0x64, u32be(8), 'image-corrupt'],
    ['refcounts of 2^9 bits', 0x60, u32be(9), 'image-corrupt'],
    ['a snapshot table beyond its end', 0x3c, u32be(65_000), 'image-corrupt'],
  ])('refuses %s', async (_name, at, bytes, code) => {
    await refusal(await patched('v3.qcow2', at, bytes), code);
  });

  it('finds an L2 table beyond its end', async () => {
    const l1 = Number((await readFile(folder.join('v3.qcow2'))).readBigUInt64BE(0x28));
    const path = await patched('v3.qcow2', l1, u64be((1n << 63n) | (1n << 40n)));
    expect(await refusal(path, 'image-corrupt')).toContain('L2 table');
  });

  it.each(['v3.qcow2', 'v2.qcow2', 'small-clusters.qcow2'])(
    'finds %s cut off anywhere before its last cluster',
    async (file) => {
      const path = folder.join(file);
      const { size } = await stat(path);
      for (const fraction of [0.001, 0.1, 0.5, 0.9]) {
        const lengthBytes = Math.floor((size - 65_536) * fraction);
        const slice = { path, offsetBytes: 0, lengthBytes };
        await expect(inspectHeader(slice), `${lengthBytes} bytes`).rejects.toMatchObject({
          code: 'image-corrupt',
        });
      }
    },
  );
});

describe('inspectHeader of VMDK', () => {
  it.each<[string, string, string, ErrorCode]>([
    ['a parent', 'parentCID=ffffffff', 'parentCID=00000001', 'image-hostile'],
    ['a flat type', 'createType="monolithicSparse"', 'createType="monolithicFlat"', 'image-hostile'],
    ['an extent by path', 'SPARSE "sparse.vmdk"', 'SPARSE "../../a.vmdk"', 'image-hostile'],
    ['a flat extent', 'SPARSE "sparse.vmdk"', 'FLAT "sparse.vmdk" 0', 'image-hostile'],
    ['an unknown line', '#DDB', 'evil=1', 'image-hostile'],
    ['a raw device', 'SPARSE "sparse.vmdk"', 'VMFSRDM "sparse.vmdk"', 'image-unreadable'],
  ])('refuses %s in its descriptor', async (_name, old, fresh, code) => {
    const path = await copyOf('sparse.vmdk');
    await rewriteDescriptor(path, (text) => text.replace(old, fresh));
    await refusal(path, code);
  });

  it('refuses a parent hidden behind the end of the descriptor, where qemu would still find it', async () => {
    const path = await patched('sparse.vmdk', 512 + 9 * 1024, 'parentFileNameHint="/etc/passwd"');
    await patch(path, 36, u64le(4n));
    expect(await refusal(path, 'image-hostile')).toContain('parent');
  });

  it('refuses a descriptor of 1 MiB, and one that is elsewhere than qemu reads it', async () => {
    await refusal(await patched('sparse.vmdk', 36, u64le(2048n)), 'image-hostile');
    await refusal(await patched('sparse.vmdk', 28, u64le(2n)), 'image-hostile');
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
    await refusal(await patched('sparse.vmdk', at, bytes), code);
  });

  it('refuses a footer that disagrees with the header', async () => {
    const path = await copyOf('vmware.vmdk');
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
    const path = await copyOf(file);
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
    const path = await copyOf('sparse.vmdk');
    const { size } = await stat(path);
    // A directory of 20,000 entries behind the file, all of which name the one table.
    const entry = (await readFile(path)).subarray(26 * 512, 26 * 512 + 4);
    await patch(path, size, Buffer.concat(Array.from({ length: 20_000 }, () => entry)));
    await patch(path, 56, u64le(BigInt(size / 512)));
    await patch(path, 12, u64le(20_000n * 65_536n));
    expect(await refusal(path, 'image-corrupt')).toContain('overlap');
  });
});

describe('inspectHeader of VHD', () => {
  it('refuses a differencing disk', async () => {
    const path = await copyOf('dynamic.vhd');
    const { size } = await stat(path);
    for (const at of [0, size - 512]) await patchFooter(path, at, (footer) => footer.writeUInt32BE(4, 60));
    expect(await refusal(path, 'image-hostile')).toContain('differencing');
  });

  it.each([
    ['dynamic.vhd', 'its footer', -1],
    ['dynamic.vhd', 'the copy at its head', 0],
    ['fixed.vhd', 'its footer', -1],
  ])('refuses %s with a wrong checksum in %s', async (file, _what, at) => {
    const path = await copyOf(file);
    const { size } = await stat(path);
    await patch(path, (at === 0 ? 0 : size - 512) + 100, 'x');
    expect(await refusal(path, 'image-corrupt')).toContain('checksum');
  });

  it('refuses a wrong checksum in the dynamic header', async () => {
    expect(await refusal(await patched('dynamic.vhd', 512 + 200, 'x'), 'image-corrupt')).toContain(
      'dynamic header',
    );
  });

  it.each<[string, bigint, ErrorCode]>([
    ['100 TiB', 100n << 40n, 'image-hostile'],
    ['zero', 0n, 'image-corrupt'],
    ['more than the file holds', 6n << 20n, 'image-corrupt'],
  ])('refuses a fixed VHD that claims %s', async (_name, bytes, code) => {
    const path = await copyOf('fixed.vhd');
    await patchFooter(path, SAMPLE_BYTES, (footer) => footer.writeBigUInt64BE(bytes, 48));
    await refusal(path, code);
  });

  it('believes the size in the footer, not the smaller geometry that qemu prefers for other makers', async () => {
    const path = await copyOf('dynamic.vhd');
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
    const path = await copyOf('dynamic.vhd');
    await patchFooter(path, 0, (footer) => footer.writeBigUInt64BE(BigInt(4 * MIB), 48));
    await refusal(path, 'image-hostile');
  });

  it('refuses a fixed disk whose guest wrote a VHD footer into its first sector', async () => {
    const path = await copyOf('fixed.vhd');
    await patch(path, 0, (await readFile(folder.join('dynamic.vhd'))).subarray(0, 512));
    await refusal(path, 'image-hostile');
  });

  it.each(['dynamic.vhd', 'fixed.vhd'])(
    'finds %s cut off, though a fixed one then looks raw',
    async (file) => {
      const path = await copyOf(file);
      await truncate(path, (await stat(path)).size - 512);
      expect(await refusal(path, 'image-corrupt')).toContain('cut off');
    },
  );

  it('finds blocks beyond the end', async () => {
    const path = await copyOf('dynamic.vhd');
    const footer = (await readFile(path)).subarray(-512);
    await truncate(path, MIB);
    await patch(path, MIB, footer);
    expect(await refusal(path, 'image-corrupt')).toContain('block');
  });
});

describe('inspectHeader of VHDX', () => {
  it('refuses a parent, by flag and by locator', async () => {
    const { parameters, entry } = await findFileParameters();
    const flagged = await patched('dynamic.vhdx', parameters + 4, u32le(2));
    expect(await refusal(flagged, 'image-hostile')).toContain('differencing');
    const locator = Buffer.from('2d5fd3a80bb34d45abf7d3d84834ab0c', 'hex');
    const located = await patched('dynamic.vhdx', entry, locator);
    expect(await refusal(located, 'image-hostile')).toContain('differencing');
  });

  it('takes an image whose older header is torn, and refuses one with both torn', async () => {
    const path = await copyOf('dynamic.vhdx');
    const sequences = await Promise.all([64, 128].map((kib) => readU64(path, kib * 1024 + 8)));
    const [older, newer] = (sequences[0] ?? 0n) < (sequences[1] ?? 0n) ? [64, 128] : [128, 64];
    await patch(path, older * 1024 + 200, 'torn');
    expect(await inspectHeader(whole(path))).toMatchObject({ bytes: SAMPLE_BYTES });
    await patch(path, newer * 1024 + 200, 'torn');
    expect(await refusal(path, 'image-corrupt')).toContain('headers');
  });

  it('refuses a torn region table', async () => {
    expect(await refusal(await patched('dynamic.vhdx', 192 * 1024 + 300, 'x'), 'image-corrupt')).toContain(
      'region table',
    );
  });

  it('refuses a log that must be replayed first', async () => {
    const path = await copyOf('dynamic.vhdx');
    for (const at of [64 * 1024, 128 * 1024])
      await reseal(path, { at, bytes: 4096 }, (head) => head.fill(9, 48, 64));
    expect(await refusal(path, 'image-corrupt')).toContain('log');
  });

  it('refuses 100 TiB and sectors of 4096 bytes', async () => {
    const size = await patched('dynamic.vhdx', await findItem(DISK_SIZE), u64le(100n << 40n));
    expect(await refusal(size, 'image-hostile')).toContain('TiB');
    const sectors = await patched('dynamic.vhdx', await findItem(SECTOR_SIZE), u32le(4096));
    expect(await refusal(sectors, 'image-unreadable')).toContain('4096');
  });

  it('refuses a required region that is not known', async () => {
    const path = await copyOf('dynamic.vhdx');
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

describe('inspectHeader under fuzz', () => {
  it.each([...SINGLE_FILES, 'vmware.vmdk'])(
    'accepts or refuses %s with any bytes flipped and any tail lost, and never breaks',
    async (file) => {
      const path = await copyOf(file);
      const original = readFileSync(path);
      await using handle = await open(path, 'r+');
      // Most flips go where structures are: the first 4 KiB, the last 2 KiB, then anywhere.
      const offset = fc.oneof(
        fc.nat(4096),
        fc.nat(2047).map((back) => original.length - 1 - back),
        fc.nat(original.length - 1),
      );
      const flips = fc.array(fc.tuple(offset, fc.integer({ min: 1, max: 255 })), {
        minLength: 0,
        maxLength: 4,
      });
      const length = fc.oneof(fc.constant(original.length), fc.nat(original.length));
      const property = fc.asyncProperty(flips, length, async (spoiled, lengthBytes) => {
        for (const [at, mask] of spoiled) {
          await handle.write(Buffer.from([(original[at] ?? 0) ^ mask]), 0, 1, at);
        }
        try {
          const header = await inspectHeader({ path, offsetBytes: 0, lengthBytes });
          expect(header.bytes % 512).toBe(0);
          expect(header.bytes).toBeGreaterThan(0);
        } catch (error) {
          expect(error).toBeInstanceOf(LandfallError);
        } finally {
          for (const [at] of spoiled) await handle.write(original.subarray(at, at + 1), 0, 1, at);
        }
      });
      await fc.assert(property, { numRuns: 150 });
      expect(await inspectHeader(whole(path))).toMatchObject({ bytes: SAMPLE_BYTES });
    },
  );
});

async function rewriteDescriptor(path: string, change: (text: string) => string): Promise<void> {
  const image = await readFile(path);
  const area = image.subarray(512, 21 * 512);
  const text = area.toString('latin1', 0, area.indexOf(0));
  const changed = change(text);
  expect(changed).not.toBe(text);
  await patch(path, 512, Buffer.concat([Buffer.from(changed, 'latin1'), Buffer.alloc(64)]));
}

async function patchFooter(path: string, at: number, change: (footer: Buffer) => void): Promise<void> {
  const footer = Buffer.from((await readFile(path)).subarray(at, at + 512));
  change(footer);
  footer.writeUInt32BE(0, 64);
  const sum = footer.reduce((total, byte) => total + byte, 0);
  footer.writeUInt32BE(~sum >>> 0, 64);
  await patch(path, at, footer);
}

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

/** GUIDs as they lie in the file. */
const FILE_PARAMETERS = '3767a1ca36fa434db3b633f0aa44e76b';
const DISK_SIZE = '2442a52f1bcd7648b2115dbed83bf4b8';
const SECTOR_SIZE = '1dbf41816fa90947ba47f233a8faab5f';

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
