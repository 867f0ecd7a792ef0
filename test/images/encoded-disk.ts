/** Disks for the encoders' tests: a raw file with some blocks of content, and the file that an encoder makes of it. */
import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import {
  BLOCK_BYTES,
  type BlockPacker,
  type Chunk,
  type PackedBlock,
  type StreamEncoder,
} from '../../src/blocks/stream-encoder.ts';

/** Blocks of content by index; all others are zeros. */
export type DiskContent = ReadonlyMap<number, Buffer>;

export type BlockKind = 'noise' | 'text' | 'one byte' | 'gaps';

/** The same bytes for the same seed and kind. */
export function makeBlock(kind: BlockKind, seed: number): Buffer {
  const block = Buffer.alloc(BLOCK_BYTES);
  switch (kind) {
    case 'noise':
      return noise(block, seed);
    case 'text':
      return block.fill(`line ${seed} of a log that goes on and on\n`);
    case 'one byte':
      block[(seed * 7919) % 512] = 1;
      return block;
    case 'gaps':
      // Grains of zeros between others, and one that holds zeros up to its last byte.
      noise(block.subarray(65_536, 2 * 65_536), seed);
      block[4 * 65_536 - 1] = 1;
      return block;
    default:
      return kind satisfies never;
  }
}

/** Zeroes what lies after the end of the disk, as whoever reads the last block does. */
export function makeContent(diskBytes: number, blocks: Iterable<[number, BlockKind]>): DiskContent {
  const content = new Map<number, Buffer>();
  for (const [index, kind] of [...blocks].sort(([a], [b]) => a - b)) {
    const block = makeBlock(kind, index + 1);
    block.fill(0, Math.min(BLOCK_BYTES, diskBytes - index * BLOCK_BYTES));
    content.set(index, block);
  }
  return content;
}

export async function writeRawDisk(path: string, diskBytes: number, content: DiskContent): Promise<void> {
  await using file = await open(path, 'w');
  await file.truncate(diskBytes);
  for (const [index, block] of content) {
    const lengthBytes = Math.min(BLOCK_BYTES, diskBytes - index * BLOCK_BYTES);
    await file.write(block, 0, lengthBytes, index * BLOCK_BYTES);
  }
}

/** In order; with bytes of their own, which hold however often they are used. */
export async function packContent(packer: BlockPacker, content: DiskContent): Promise<PackedBlock[]> {
  const packs = [...content].map(async ([index, block]): Promise<PackedBlock> => {
    const { packed } = await packer.pack({ index, content: new Uint8Array(block).buffer });
    const { sha256, crc32, pieceBytes, release } = packed;
    const bytes = packed.bytes.slice();
    release?.();
    return { index, sha256, bytes, crc32, pieceBytes };
  });
  return await Promise.all(packs);
}

/** The file, or what is still missing of it; zeros are left out as `encodeParts` does. */
export function* encode(
  encoder: StreamEncoder,
  blocks: readonly PackedBlock[],
  { isNew }: { isNew: boolean },
): Generator<Chunk> {
  if (isNew) yield* encoder.begin();
  const first = encoder.nextBlock;
  for (const block of blocks) if (block.sha256 !== null && block.index >= first) yield* encoder.append(block);
  yield* encoder.end();
}

export async function writeChunks(path: string, chunks: Iterable<Chunk>): Promise<void> {
  await using file = await open(path, 'w');
  for (const { bytes } of chunks) await file.write(bytes);
}

function noise(bytes: Buffer, seed: number): Buffer {
  const random = createHash('shake256', { outputLength: bytes.length }).update(`noise ${seed}`).digest();
  bytes.set(random);
  return bytes;
}
