import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type AllocationClient,
  alignOut,
  type Extent,
  type ExtentKind,
  mergeExtents,
  readExtents,
  splitIntoBlocks,
  streamBlockRuns,
  subtractExtents,
} from '../../src/blocks/extents.ts';

const GIB = 1024 ** 3;
const END = 256;

const data = (offsetBytes: number, lengthBytes: number): Extent => ({
  offsetBytes,
  lengthBytes,
  kind: 'data',
});
const zero = (offsetBytes: number, lengthBytes: number): Extent => ({
  offsetBytes,
  lengthBytes,
  kind: 'zero',
});

/** A disk of 256 bytes, as what each byte is: the model that the algebra must agree with. */
type Byte = ExtentKind | null;

const extentLists = fc
  .array(fc.record({ gap: fc.nat(9), length: fc.nat(20), isData: fc.boolean() }), { maxLength: 20 })
  .map((steps) => {
    const extents: Extent[] = [];
    let at = 0;
    for (const { gap, length, isData } of steps) {
      at += gap;
      const lengthBytes = Math.min(length, END - at);
      if (lengthBytes < 0) break;
      extents.push({ offsetBytes: at, lengthBytes, kind: isData ? 'data' : 'zero' });
      at += lengthBytes;
    }
    return extents;
  });

function bytesOf(extents: Iterable<Extent>): Byte[] {
  const bytes: Byte[] = Array(END).fill(null);
  for (const { offsetBytes, lengthBytes, kind } of extents) {
    bytes.fill(kind, offsetBytes, offsetBytes + lengthBytes);
  }
  return bytes;
}

describe('mergeExtents', () => {
  test('joins what touches and is of one kind, and nothing else', () => {
    const extents = [data(0, 4), data(4, 0), data(4, 4), zero(8, 1), data(9, 1), data(11, 1)];
    expect([...mergeExtents(extents)]).toEqual([data(0, 8), zero(8, 1), data(9, 1), data(11, 1)]);
  });

  test('keeps every byte as it was, with the fewest extents', () => {
    fc.assert(
      fc.property(extentLists, (extents) => {
        const merged = [...mergeExtents(extents)];
        expect(bytesOf(merged)).toEqual(bytesOf(extents));
        expect([...mergeExtents(merged)]).toEqual(merged);
        const changes = bytesOf(extents).filter((byte, at, bytes) => byte !== null && byte !== bytes[at - 1]);
        expect(merged).toHaveLength(changes.length);
      }),
    );
  });

  test('refuses extents that overlap or go back', () => {
    expect(() => [...mergeExtents([data(0, 5), data(4, 1)])]).toThrow(RangeError);
    expect(() => [...mergeExtents([data(8, 1), data(0, 1)])]).toThrow(RangeError);
    expect(() => [...mergeExtents([data(-1, 1)])]).toThrow(RangeError);
    expect(() => [...mergeExtents([data(8, -4)])]).toThrow(RangeError);
  });
});

describe('subtractExtents', () => {
  test('leaves what nothing covers, in its kind', () => {
    fc.assert(
      fc.property(extentLists, extentLists, (extents, removed) => {
        const covered = bytesOf(removed);
        const left = bytesOf(extents).map((byte, at) => (covered[at] === null ? byte : null));
        expect(bytesOf(subtractExtents(extents, removed))).toEqual(left);
      }),
    );
  });

  test('cuts one extent by several, and several by one', () => {
    expect([...subtractExtents([data(0, 10)], [zero(2, 2), data(6, 1)])]).toEqual([
      data(0, 2),
      data(4, 2),
      data(7, 3),
    ]);
    expect([...subtractExtents([data(0, 3), zero(3, 3), data(8, 4)], [data(1, 9)])]).toEqual([
      data(0, 1),
      data(10, 2),
    ]);
  });
});

describe('alignOut', () => {
  test('makes a block zero only where zeros cover it whole, data where anything else touches it', () => {
    fc.assert(
      fc.property(extentLists, fc.integer({ min: 1, max: 40 }), (extents, blockBytes) => {
        const before = bytesOf(extents);
        const expected: Byte[] = [];
        for (let at = 0; at < END; at += blockBytes) {
          const block = before.slice(at, at + blockBytes);
          const kind = block.every((byte) => byte === 'zero') ? 'zero' : 'data';
          expected.push(...block.map(() => (block.every((byte) => byte === null) ? null : kind)));
        }
        const aligned = [...alignOut(extents, { blockBytes, endBytes: END })];
        expect(bytesOf(aligned)).toEqual(expected);
        expect([...mergeExtents(aligned)]).toEqual(aligned);
      }),
    );
  });

  test('ends the last block with the disk', () => {
    expect([...alignOut([zero(64, 36)], { blockBytes: 64, endBytes: 100 })]).toEqual([zero(64, 36)]);
    expect([...alignOut([zero(64, 35)], { blockBytes: 64, endBytes: 100 })]).toEqual([data(64, 36)]);
  });

  test('refuses what lies beyond the end', () => {
    expect(() => [...alignOut([data(90, 11)], { blockBytes: 64, endBytes: 100 })]).toThrow(RangeError);
  });
});

describe('splitIntoBlocks', () => {
  test('gives each block that data touches once, ascending, also while the map is being read', async () => {
    await fc.assert(
      fc.asyncProperty(extentLists, fc.integer({ min: 1, max: 40 }), async (extents, blockBytes) => {
        const bytes = bytesOf(extents);
        const touched = new Set(
          bytes.flatMap((byte, at) => (byte === 'data' ? Math.floor(at / blockBytes) : [])),
        );
        expect([...splitIntoBlocks(extents, blockBytes)]).toEqual([...touched]);
        async function* stream(): AsyncGenerator<Extent> {
          yield* extents;
        }
        const streamed: number[] = [];
        for await (const { from, end } of streamBlockRuns(stream(), { blockBytes, firstBlock: 2 }))
          for (let block = from; block < end; block += 1) streamed.push(block);
        expect(streamed).toEqual([...touched].filter((block) => block >= 2));
      }),
    );
  });

  test('takes one block at a time of an extent of terabytes', () => {
    const blocks = splitIntoBlocks([data(1, 16 * 1024 * GIB)], 512 * 1024);
    expect([blocks.next().value, blocks.next().value]).toEqual([0, 1]);
  });
});

type Question = { context: string; offsetBytes: number; lengthBytes: number };

/** A server over a map, which answers with at most `cap` extents, the last perhaps reaching beyond the window. */
function serve(map: readonly Extent[], { cap = 2, reachesBeyond = true } = {}) {
  const questions: Question[] = [];
  const client: AllocationClient = {
    bytes: map.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0),
    contexts: ['base:allocation'],
    blockStatus: async (question) => {
      questions.push(question);
      const windowEnd = question.offsetBytes + question.lengthBytes;
      const answer: { lengthBytes: number; flags: number }[] = [];
      for (const { offsetBytes, lengthBytes, kind } of map) {
        const from = Math.max(offsetBytes, question.offsetBytes);
        const mapped = offsetBytes + lengthBytes;
        const end = reachesBeyond ? mapped : Math.min(mapped, windowEnd);
        if (from >= end || from >= windowEnd) continue;
        answer.push({ lengthBytes: end - from, flags: kind === 'zero' ? 3 : 0 });
        if (answer.length === cap) break;
      }
      return answer;
    },
  };
  return { client, questions };
}

const { signal } = new AbortController();

describe('readExtents', () => {
  const map = [data(0, 7), zero(7, 3 * GIB), data(3 * GIB + 7, 5), zero(3 * GIB + 12, 1)];

  test('reads the whole map by windows, joined where an answer was cut', async () => {
    for (const options of [{ reachesBeyond: true }, { reachesBeyond: false }]) {
      const { client, questions } = serve(map, options);
      expect(await Array.fromAsync(readExtents(client, { signal }))).toEqual(map);
      for (const { lengthBytes } of questions) expect(lengthBytes).toBeLessThanOrEqual(GIB);
    }
  });

  test('begins where it is told', async () => {
    const { client } = serve(map);
    const fromBytes = 3 * GIB + 9;
    expect(await Array.fromAsync(readExtents(client, { fromBytes, signal }))).toEqual([
      data(fromBytes, 3),
      zero(fromBytes + 3, 1),
    ]);
  });

  test('asks no further than it is read', async () => {
    const { client, questions } = serve([data(0, GIB), zero(GIB, 100 * GIB)]);
    for await (const _extent of readExtents(client, { signal })) break;
    expect(questions.length).toBeLessThanOrEqual(2);
  });

  test('takes a hole that is not said to read as zeros for data', async () => {
    const { client } = serve([data(0, 10)]);
    const holes = { ...client, blockStatus: async () => [{ lengthBytes: 10, flags: 1 }] };
    expect(await Array.fromAsync(readExtents(holes, { signal }))).toEqual([data(0, 10)]);
  });

  test('takes everything for data where the server does not tell', async () => {
    const client = { ...serve([zero(0, 10)]).client, contexts: [] };
    expect(await Array.fromAsync(readExtents(client, { fromBytes: 4, signal }))).toEqual([data(4, 6)]);
    expect(await Array.fromAsync(readExtents(client, { fromBytes: 10, signal }))).toEqual([]);
  });

  test('ends with an error, not in a loop, when the server answers with nothing', async () => {
    const { client } = serve([data(0, 10)]);
    for (const answer of [[], [{ lengthBytes: 0, flags: 0 }]]) {
      const mute = { ...client, blockStatus: async () => answer };
      await expect(Array.fromAsync(readExtents(mute, { signal }))).rejects.toMatchObject({
        code: 'image-unreadable',
        context: { offsetBytes: 0 },
      });
    }
  });
});
