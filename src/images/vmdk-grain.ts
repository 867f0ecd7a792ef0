/**
 * Grains of a stream-optimised VMDK: 64 KiB of the disk, deflated, led by their place and size, padded to whole sectors.
 * Grains of zeros are left out. Runs in worker threads, so it imports little.
 */
import { BLOCK_BYTES } from '../blocks/stream-encoder.ts';
import { isZero } from '../blocks/zero-test.ts';
import type { Deflater } from './deflate.ts';

export const GRAIN_BYTES = 64 * 1024;
export const GRAINS_PER_BLOCK = BLOCK_BYTES / GRAIN_BYTES;

const SECTOR_BYTES = 512;
/** The sector of the disk (8 bytes) and the compressed size (4 bytes). */
const GRAIN_MARKER_BYTES = 12;
/** Stored because it does not shrink, a grain needs 2 + 4 bytes around it and 5 for each of 2 blocks: one sector more than it is. */
export const MAX_PACKED_GRAIN_BYTES = GRAIN_BYTES + SECTOR_BYTES;
export const MAX_PACKED_BLOCK_BYTES = GRAINS_PER_BLOCK * MAX_PACKED_GRAIN_BYTES;

export type PackedGrains = { lengthBytes: number; pieceBytes: number[] };

/** Writes the grains of a block into `into` (MAX_PACKED_BLOCK_BYTES). Always whole grains, also at the end of the disk. */
export function packGrains(block: {
  index: number;
  content: Uint8Array;
  into: Buffer;
  deflater: Deflater;
}): PackedGrains {
  const { index, content, into, deflater } = block;
  const pieceBytes: number[] = [];
  let lengthBytes = 0;
  for (let at = 0; at < BLOCK_BYTES; at += GRAIN_BYTES) {
    const grain = content.subarray(at, at + GRAIN_BYTES);
    const diskSector = (index * BLOCK_BYTES + at) / SECTOR_BYTES;
    const packedBytes = isZero(grain)
      ? 0
      : writeGrain({ diskSector, grain, into, at: lengthBytes, deflater });
    pieceBytes.push(packedBytes);
    lengthBytes += packedBytes;
  }
  return { lengthBytes, pieceBytes };
}

function writeGrain(write: {
  diskSector: number;
  grain: Uint8Array;
  into: Buffer;
  at: number;
  deflater: Deflater;
}): number {
  const { diskSector, grain, into, at, deflater } = write;
  const from = at + GRAIN_MARKER_BYTES;
  const deflatedBytes = deflater.deflate(grain, into.subarray(from, at + MAX_PACKED_GRAIN_BYTES));
  into.writeBigUInt64LE(BigInt(diskSector), at);
  into.writeUInt32LE(deflatedBytes, at + 8);
  const lengthBytes = GRAIN_MARKER_BYTES + deflatedBytes;
  const paddedBytes = Math.ceil(lengthBytes / SECTOR_BYTES) * SECTOR_BYTES;
  into.fill(0, at + lengthBytes, at + paddedBytes);
  return paddedBytes;
}
