import { stat } from 'node:fs/promises';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { crc32 } from '../../src/blocks/crc32.ts';
import { BLOCK_BYTES, type Chunk, type PackedBlock } from '../../src/blocks/stream-encoder.ts';
import type { Container, FileSlice } from '../../src/domain/image.ts';
import type { JsonObject } from '../../src/domain/json.ts';
import { openBlockPacker } from '../../src/images/block-packer.ts';
import type { DeflaterName } from '../../src/images/deflate.ts';
import { inspectHeader } from '../../src/images/header-guard.ts';
import { createStreamEncoder, maxFileBytes } from '../../src/images/stream-encoder.ts';
import { runTool } from '../../src/processes/child.ts';
import { checkDisk } from '../../src/sandbox/ec2/disk-check.ts';
import {
  type BlockKind,
  type DiskContent,
  encode,
  makeContent,
  packContent,
  writeChunks,
  writeRawDisk,
} from './encoded-disk.ts';
import { imageInfo } from './qemu-img.ts';
import { openSampleFolder, type SampleFolder } from './sample-images.ts';

const MIB = 2 ** 20;
const CONTAINERS = ['vmdk-stream-optimized', 'vhd-fixed', 'raw'] as const;
const DRIVERS = { 'vmdk-stream-optimized': 'vmdk', 'vhd-fixed': 'vpc', raw: 'raw' } as const;
const FORMATS = { 'vmdk-stream-optimized': 'vmdk', 'vhd-fixed': 'vhd', raw: 'raw' } as const;
const IMPORT_FORMATS = { 'vmdk-stream-optimized': 'VMDK', 'vhd-fixed': 'VHD', raw: 'RAW' } as const;

let folder: SampleFolder;
beforeAll(async () => {
  folder = await openSampleFolder();
});
afterAll(() => folder[Symbol.asyncDispose]());

const openPacker = (container: Container, diskBytes: number, deflater: DeflaterName = 'zlib') =>
  openBlockPacker({ container, diskBytes, threads: 1, deflater });

describe.each(CONTAINERS)('createStreamEncoder for %s', (container) => {
  it.each<[string, number, [number, BlockKind][]]>([
    ['a disk of one sector', 512, [[0, 'one byte']]],
    ['an empty disk', 100 * MIB, []],
    ['an empty disk of one sector', 512, []],
    [
      'a disk that ends within a grain',
      33 * MIB + 512 * 77,
      [
        [0, 'text'],
        [66, 'noise'],
      ],
    ],
    ['a disk that ends within a block and with zeros', 40 * MIB + 512 * 300, [[3, 'gaps']]],
    ['a full disk', 3 * MIB + 512, [0, 1, 2, 3, 4, 5, 6].map((index) => [index, 'noise'])],
    [
      'a disk with holes over whole tables',
      200 * MIB,
      [
        [0, 'noise'],
        [63, 'text'],
        [64, 'gaps'],
        [200, 'one byte'],
        [399, 'text'],
      ],
    ],
  ])('writes %s as the tools read it', async (_name, diskBytes, blocks) => {
    const content = makeContent(diskBytes, blocks);
    const raw = await writeSource(diskBytes, content);
    const made = folder.join('made');
    await using packer = await openPacker(container, diskBytes);
    const encoder = createStreamEncoder({ container, diskBytes });
    const chunks = [...encode(encoder, await packContent(packer, content), { isNew: true })];
    await writeChunks(made, chunks);

    await expectSameDisk({ raw, made, container });
    const { bytes } = await inspectHeader(sliceOf(made), { format: FORMATS[container] });
    expect(bytes).toBe(container === 'vhd-fixed' ? Math.ceil(diskBytes / MIB) * MIB : diskBytes);
    const signal = AbortSignal.timeout(10_000);
    // Of a VHD from a creator it does not know, qemu would believe the geometry, which is smaller.
    const image = { format: FORMATS[container], file: sliceOf(made) };
    expect(await imageInfo({ image, signal })).toMatchObject({ bytes });
    await checkDisk({ file: made, format: IMPORT_FORMATS[container], signal });
    expect((await stat(made)).size).toBe(encoder.lengthBytes);
    const dataBytes = blocks.length * BLOCK_BYTES;
    expect(encoder.lengthBytes).toBeLessThanOrEqual(maxFileBytes({ container, diskBytes, dataBytes }));
    for (const { bytes: each, crc32: crc } of chunks) expect(crc).toBe(crc32(each));
  });

  it('goes on after each chunk as if it had not been cut', async () => {
    // Of a VMDK three tables and a hole of one; the others hold every byte, and are whole in a few.
    const isVmdk = container === 'vmdk-stream-optimized';
    const diskBytes = (isVmdk ? 133 : 6) * MIB + 512;
    const last = Math.floor(diskBytes / BLOCK_BYTES);
    const content = makeContent(diskBytes, [
      [1, 'noise'],
      [2, 'text'],
      [isVmdk ? 70 : 7, 'gaps'],
      [last, 'one byte'],
    ]);
    await using packer = await openPacker(container, diskBytes);
    const blocks = await packContent(packer, content);
    const options = { container, diskBytes, identity: 'disk-0' };
    const whole = fileOf(encode(createStreamEncoder(options), blocks, { isNew: true }));
    const encoder = createStreamEncoder(options);
    const before: Buffer[] = [];
    for (const { bytes } of encode(encoder, blocks, { isNew: true })) {
      before.push(Buffer.from(bytes));
      const snapshot = JSON.parse(JSON.stringify(encoder.snapshot())) as JsonObject;
      const next = createStreamEncoder({ ...options, snapshot });
      expect(next.lengthBytes).toBe(Buffer.concat(before).length);
      expect(next.nextBlock).toBe(encoder.nextBlock);
      expect(next.snapshot()).toEqual(snapshot);
      const file = Buffer.concat([...before, fileOf(encode(next, blocks, { isNew: false }))]);
      expect(file.equals(whole), `cut after ${before.length} chunks`).toBe(true);
    }
  });

  it('refuses blocks that come twice, too early or after the end, and the state of another disk', async () => {
    const diskBytes = 4 * MIB;
    const encoder = createStreamEncoder({ container, diskBytes });
    const at = (index: number): PackedBlock => ({
      index,
      sha256: null,
      bytes: Buffer.alloc(0),
      crc32: 0,
      pieceBytes: [],
    });
    const fill = (index: number): unknown => [...encoder.append(at(index))];
    [...encoder.begin(), ...encoder.append({ ...at(2), bytes: Buffer.alloc(512) })];
    expect(() => fill(2)).toThrow(RangeError);
    expect(() => fill(8)).toThrow(RangeError);
    const snapshot = encoder.snapshot();
    for (const wrong of [{ ...snapshot, container: 'qcow2' }, { ...snapshot, diskBytes: 8 * MIB }, {}])
      expect(() => createStreamEncoder({ container, diskBytes, snapshot: wrong })).toThrow(
        expect.objectContaining({ code: 'internal' }),
      );
  });
});

describe('a file that goes on in another process', () => {
  // Lengths of deflated grains differ between the two attempts; tables must not.
  it('is whole wherever it was cut, also when its grains are deflated in another way', async () => {
    const sectors = fc.integer({ min: 1, max: (100 * MIB) / 512 });
    const kind = fc.constantFrom<BlockKind>('noise', 'text', 'one byte', 'gaps');
    const blocks = fc.array(fc.tuple(fc.nat(), kind), { maxLength: 8 });
    const cases = fc.record({ sectors, blocks, container: fc.constantFrom(...CONTAINERS), cut: fc.nat() });
    await fc.assert(fc.asyncProperty(cases, checkCut), { numRuns: 25 });
  });
});

async function checkCut(given: {
  sectors: number;
  blocks: [number, BlockKind][];
  container: Container;
  cut: number;
}): Promise<void> {
  const { container } = given;
  const diskBytes = given.sectors * 512;
  const blockCount = Math.ceil(diskBytes / BLOCK_BYTES);
  const content = makeContent(
    diskBytes,
    new Map(given.blocks.map(([index, kind]) => [index % blockCount, kind] as const)),
  );
  const raw = await writeSource(diskBytes, content);
  const made = folder.join('made');
  const first = await packBy('zlib');
  const chunkCount = [...encode(createStreamEncoder({ container, diskBytes }), first, { isNew: true })]
    .length;
  const encoder = createStreamEncoder({ container, diskBytes });
  const cut = 1 + (given.cut % chunkCount);
  const head: Chunk[] = [];
  for (const chunk of encode(encoder, first, { isNew: true })) {
    head.push(chunk);
    if (head.length === cut) break;
  }
  const snapshot = JSON.parse(JSON.stringify(encoder.snapshot())) as JsonObject;
  const next = createStreamEncoder({ container, diskBytes, snapshot });
  await writeChunks(made, [...head, ...encode(next, await packBy('libdeflate'), { isNew: false })]);
  await expectSameDisk({ raw, made, container });

  async function packBy(deflater: DeflaterName): Promise<PackedBlock[]> {
    await using packer = await openPacker(container, diskBytes, deflater);
    return await packContent(packer, content);
  }
}

async function writeSource(diskBytes: number, content: DiskContent): Promise<string> {
  const raw = folder.join('source.raw');
  await writeRawDisk(raw, diskBytes, content);
  return raw;
}

async function expectSameDisk(disks: { raw: string; made: string; container: Container }): Promise<void> {
  const { raw, made, container } = disks;
  const driver = DRIVERS[container];
  // qemu knows no check for a format that keeps no tables.
  if (driver === 'vmdk') await runTool({ command: 'qemu-img', args: ['check', '-f', driver, made] });
  await runTool({ command: 'qemu-img', args: ['compare', '-f', 'raw', '-F', driver, raw, made] });
}

function fileOf(chunks: Iterable<Chunk>): Buffer {
  return Buffer.concat([...chunks].map(({ bytes }) => bytes));
}

function sliceOf(path: string): FileSlice {
  return { path, offsetBytes: 0, lengthBytes: null };
}
