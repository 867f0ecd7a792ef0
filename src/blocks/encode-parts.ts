/**
 * Cuts the file that an encoder writes into parts. A part ends with the chunk that fills it, so the encoder's state at
 * its end is exact: another process can go on from there without a byte of what came after.
 *
 * Memory: one part while it is filled; parts that were given out are the taker's until it calls `release`.
 */
import type { JsonObject } from '../domain/json.ts';
import { combineCrc32 } from './crc32.ts';
import { BLOCK_BYTES, type Chunk, type PackedBlock, type StreamEncoder } from './stream-encoder.ts';

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
} & Encoded;

/** What went into the file so far. */
export type Encoded = {
  /** Content that was read: blocks that the source said to hold data. */
  readBytes: number;
  /** Those of them that do: the rest is zeros. */
  dataBlocks: number;
};

export type PartEncoding = {
  encoder: StreamEncoder;
  diskBytes: number;
  blocks: AsyncIterable<PackedBlock>;
  /** The last part of an earlier attempt and its end; null for a new file. */
  from: ({ number: number } & Encoded) | null;
  /** Least length of a part; the last may be shorter. */
  partBytes(number: number): number;
  /** Hears of each block in order, also of those that are zeros. */
  onBlock(block: PackedBlock): void;
};

/** A chunk is at most a packed block: 512 KiB of content that did not compress, and the format's marks. */
const MAX_CHUNK_BYTES = 2 ** 20;

export async function* encodeParts(encoding: PartEncoding): AsyncGenerator<EncodedPart> {
  const { encoder, from, partBytes } = encoding;
  const counter = createCounter(encoding);
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
      after: { snapshot: encoder.snapshot(), nextBlock, ...counter.before(nextBlock) },
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

type Counter = { add(block: PackedBlock): void; before(block: number): Encoded };

async function* encodeChunks(
  { encoder, blocks, from, onBlock }: PartEncoding,
  counter: Counter,
): AsyncGenerator<Chunk> {
  if (from === null) yield* encoder.begin();
  for await (const block of blocks) {
    onBlock(block);
    counter.add(block);
    if (block.sha256 !== null) yield* encoder.append(block);
  }
  yield* encoder.end();
}

/** The encoder's tables may end a part before the block that was just handed to it. */
function createCounter({ diskBytes, from }: PartEncoding): Counter {
  /** Runs of blocks that were read and not counted yet: zeros end no part, and there may be a disk full of them. */
  const ahead: { first: number; end: number }[] = [];
  let readBytes = from?.readBytes ?? 0;
  let dataBlocks = from?.dataBlocks ?? 0;
  let lastDataBlock = -1;
  return {
    add: ({ index, sha256 }) => {
      const run = ahead.at(-1);
      if (run?.end === index) run.end += 1;
      else ahead.push({ first: index, end: index + 1 });
      if (sha256 === null) return;
      dataBlocks += 1;
      lastDataBlock = index;
    },
    before: (block) => {
      for (let run = ahead[0]; run !== undefined && run.first < block; run = ahead[0]) {
        const end = Math.min(run.end, block);
        readBytes += Math.min(end * BLOCK_BYTES, diskBytes) - run.first * BLOCK_BYTES;
        run.first = end;
        if (run.first === run.end) ahead.shift();
      }
      return { readBytes, dataBlocks: dataBlocks - Number(lastDataBlock >= block) };
    },
  };
}

function takeBuffer(free: Buffer[], partBytes: number): Buffer {
  const wantedBytes = partBytes + MAX_CHUNK_BYTES;
  const found = free.pop();
  return found !== undefined && found.length >= wantedBytes ? found : Buffer.allocUnsafeSlow(wantedBytes);
}
