/**
 * Cuts the file that an encoder writes into parts. A part ends with the chunk that fills it, so the encoder's state at
 * its end is exact: another process can go on from there without a byte of what came after.
 *
 * Memory: one part while it is filled; parts that were given out are the taker's until it calls `release`.
 */
import type { JsonObject } from '../domain/json.ts';
import { combineCrc32 } from './crc32.ts';
import { bytesOfBlock } from './disk-reader.ts';
import type { Chunk, PackedBlock, StreamEncoder } from './stream-encoder.ts';

export type EncodedPart = {
  /** From 1. */
  number: number;
  bytes: Uint8Array;
  crc32: number;
  after: PartEnd;
  /** Gives the memory back for a later part. */
  release(): void;
};

/** Where the file stands after a part, and how to go on. */
export type PartEnd = {
  snapshot: JsonObject;
  nextBlock: number;
  /** Content that was read until here: blocks that the source said to hold data. */
  readBytes: number;
};

export type PartEncoding = {
  encoder: StreamEncoder;
  diskBytes: number;
  blocks: AsyncIterable<PackedBlock>;
  /** The last part of an earlier attempt and its end; null for a new file. */
  from: { number: number; readBytes: number } | null;
  /** Least length of a part; the last may be shorter. */
  partBytes(number: number): number;
  /** Hears of each block in order, also of those that are zeros. */
  onBlock(block: PackedBlock): void;
};

/** A chunk is at most a packed block: 512 KiB of content that did not compress, and the format's marks. */
const MAX_CHUNK_BYTES = 2 ** 20;

export async function* encodeParts(encoding: PartEncoding): AsyncGenerator<EncodedPart> {
  const { encoder, from, partBytes } = encoding;
  const counter = createReadCounter(encoding);
  const free: Buffer[] = [];
  let number = (from?.number ?? 0) + 1;
  let buffer = takeBuffer(free, partBytes(number));
  let filled: { bytes: number; crc32: number }[] = [];
  let lengthBytes = 0;
  const cut = (): EncodedPart => {
    const whole = buffer;
    const { nextBlock } = encoder;
    return {
      number,
      bytes: whole.subarray(0, lengthBytes),
      crc32: combineCrc32(filled),
      after: { snapshot: encoder.snapshot(), nextBlock, readBytes: counter.readBefore(nextBlock) },
      release: () => void free.push(whole),
    };
  };
  for await (const { bytes, crc32 } of encodeChunks(encoding, counter)) {
    buffer.set(bytes, lengthBytes);
    filled.push({ bytes: bytes.length, crc32 });
    lengthBytes += bytes.length;
    if (lengthBytes < partBytes(number)) continue;
    yield cut();
    number += 1;
    buffer = takeBuffer(free, partBytes(number));
    filled = [];
    lengthBytes = 0;
  }
  if (lengthBytes > 0) yield cut();
}

type ReadCounter = { add(index: number): void; readBefore(block: number): number };

async function* encodeChunks(
  { encoder, blocks, from, onBlock }: PartEncoding,
  counter: ReadCounter,
): AsyncGenerator<Chunk> {
  if (from === null) yield* encoder.begin();
  for await (const block of blocks) {
    onBlock(block);
    counter.add(block.index);
    if (block.sha256 !== null) yield* encoder.append(block);
  }
  yield* encoder.end();
}

/** The encoder's tables may end a part before the block that was just handed to it. */
function createReadCounter({ diskBytes, from }: PartEncoding): ReadCounter {
  const ahead: number[] = [];
  let readBytes = from?.readBytes ?? 0;
  return {
    add: (index) => void ahead.push(index),
    readBefore: (block) => {
      while (ahead.length > 0 && (ahead[0] as number) < block)
        readBytes += bytesOfBlock(ahead.shift() as number, diskBytes);
      return readBytes;
    },
  };
}

function takeBuffer(free: Buffer[], partBytes: number): Buffer {
  const wantedBytes = partBytes + MAX_CHUNK_BYTES;
  const found = free.pop();
  return found !== undefined && found.length >= wantedBytes ? found : Buffer.allocUnsafeSlow(wantedBytes);
}
