/**
 * Writes a disk as it is: every byte at its own place, zeros too, and what the format wants after it (fixed VHD: its
 * footer). The length of the file is all the state there is.
 */
import { z } from 'zod';
import { crc32 } from '../blocks/crc32.ts';
import { BLOCK_BYTES, type Chunk, type StreamEncoder } from '../blocks/stream-encoder.ts';
import type { JsonObject } from '../domain/json.ts';
import { parseSnapshot } from './encoder-snapshot.ts';

/** Shared by all holes: nobody writes into a chunk. */
const ZEROS = new Uint8Array(BLOCK_BYTES);
const ZEROS_CRC32 = crc32(ZEROS);

export function createFlatEncoder(options: {
  container: 'raw' | 'vhd-fixed';
  diskBytes: number;
  /** The disk is padded to it with zeros. */
  paddedBytes: number;
  footer: Uint8Array;
  snapshot?: JsonObject;
}): StreamEncoder {
  const { container, diskBytes, paddedBytes, footer, snapshot } = options;
  const blockCount = Math.ceil(diskBytes / BLOCK_BYTES);
  const schema = z.object({
    container: z.literal(container),
    diskBytes: z.int(),
    lengthBytes: z.int().min(0),
  });
  let lengthBytes = snapshot === undefined ? 0 : parseSnapshot({ schema, snapshot, diskBytes }).lengthBytes;

  const nextBlock = (): number => Math.min(blockCount, Math.ceil(lengthBytes / BLOCK_BYTES));
  function* fillZeros(endBytes: number): Generator<Chunk> {
    while (lengthBytes < endBytes) {
      const bytes = ZEROS.subarray(0, Math.min(BLOCK_BYTES, endBytes - lengthBytes));
      lengthBytes += bytes.length;
      yield { bytes, crc32: bytes.length === BLOCK_BYTES ? ZEROS_CRC32 : crc32(bytes) };
    }
  }

  return {
    get nextBlock() {
      return nextBlock();
    },
    get lengthBytes() {
      return lengthBytes;
    },
    begin() {
      if (lengthBytes !== 0) throw new RangeError('this file is begun already');
      return [];
    },
    *append(block) {
      const { index, bytes, crc32: crc } = block;
      if (index < nextBlock() || index >= blockCount)
        throw new RangeError(`block ${index} of ${blockCount}, where ${nextBlock()} is next`);
      yield* fillZeros(index * BLOCK_BYTES);
      if (bytes.length > 0) {
        lengthBytes += bytes.length;
        yield { bytes, crc32: crc };
      }
      block.release?.();
    },
    *end() {
      yield* fillZeros(diskBytes);
      yield* fillZeros(paddedBytes);
      if (footer.length === 0 || lengthBytes > paddedBytes) return;
      lengthBytes += footer.length;
      yield { bytes: footer, crc32: crc32(footer) };
    },
    snapshot: () => ({ container, diskBytes, lengthBytes }),
  };
}
