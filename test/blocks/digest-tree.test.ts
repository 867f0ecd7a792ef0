import { createHash, randomBytes } from 'node:crypto';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createDigestTree, type DigestTree, PAGE_BYTES } from '../../src/blocks/digest-tree.ts';

const BLOCK = 512 * 1024;
const PAGE_OF_DISK = 64 * 1024 * 1024;
const TIB = 1024 ** 4;

const sha256 = (...parts: Uint8Array[]): Buffer => {
  const digest = createHash('sha256');
  for (const part of parts) digest.update(part);
  return digest.digest();
};
const leaf = (name: number): Buffer => sha256(Buffer.from(String(name)));
const ZERO_BLOCK = sha256(Buffer.alloc(BLOCK));

/** The definition in the docstring, put down once more without a thought for speed. */
function rootByDefinition(diskBytes: number, leaves: ReadonlyMap<number, Buffer>): string {
  const length = Buffer.alloc(8);
  length.writeBigUInt64BE(BigInt(diskBytes));
  const pageDigests: Buffer[] = [];
  for (let page = 0; page < Math.ceil(diskBytes / PAGE_OF_DISK); page += 1) {
    const slots = Array.from({ length: 128 }, (_, slot) => leaves.get(page * 128 + slot) ?? Buffer.alloc(32));
    pageDigests.push(sha256(...slots));
  }
  return sha256(Buffer.from('landfall digest tree 1\n'), length, ...pageDigests).toString('hex');
}

const rootOf = async (tree: DigestTree): Promise<string> => (await tree.root()).toString('hex');

const disks = fc.integer({ min: 0, max: 3 * PAGE_OF_DISK }).chain((diskBytes) => {
  const blocks = Math.ceil(diskBytes / BLOCK);
  const indexes = blocks === 0 ? fc.constant<number[]>([]) : fc.array(fc.nat(blocks - 1), { maxLength: 40 });
  return fc.record({ diskBytes: fc.constant(diskBytes), indexes });
});

describe('the root', () => {
  test('is what its definition says, for any disk and in whatever order blocks came', async () => {
    await fc.assert(
      fc.asyncProperty(disks, async ({ diskBytes, indexes }) => {
        const tree = createDigestTree({ diskBytes });
        for (const index of indexes) tree.set(index, leaf(index));
        const leaves = new Map(indexes.map((index) => [index, leaf(index)]));
        expect(await rootOf(tree)).toBe(rootByDefinition(diskBytes, leaves));
      }),
      { numRuns: 40 },
    );
  });

  test('is that of a disk of content: real bytes, a short last block, zeros left out', async () => {
    const content = Buffer.concat([randomBytes(BLOCK), Buffer.alloc(BLOCK), randomBytes(1000)]);
    const tree = createDigestTree({ diskBytes: content.length });
    tree.set(0, sha256(content.subarray(0, BLOCK)));
    tree.set(2, sha256(content.subarray(2 * BLOCK), Buffer.alloc(BLOCK - 1000)));
    const page = Buffer.alloc(PAGE_BYTES);
    page.set(sha256(content.subarray(0, BLOCK)), 0);
    page.set(sha256(content.subarray(2 * BLOCK), Buffer.alloc(BLOCK - 1000)), 64);
    const length = Buffer.from('0000000000100' + '3e8', 'hex');
    expect(await rootOf(tree)).toBe(
      sha256(Buffer.from('landfall digest tree 1\n'), length, sha256(page)).toString('hex'),
    );
  });

  test('tells disks of zeros of different lengths apart', async () => {
    const roots = await Promise.all(
      [0, 1, PAGE_OF_DISK, PAGE_OF_DISK + 1].map((diskBytes) => rootOf(createDigestTree({ diskBytes }))),
    );
    expect(new Set(roots).size).toBe(4);
  });

  test('is the same whether zeros were written, left out, or overwrote something', async () => {
    const [written, leftOut, overwritten] = [0, 1, 2].map(() => {
      const tree = createDigestTree({ diskBytes: 10 * BLOCK });
      tree.set(3, leaf(3));
      return tree;
    }) as [DigestTree, DigestTree, DigestTree];
    written.set(4, ZERO_BLOCK);
    overwritten.set(4, leaf(4));
    overwritten.set(4, null);
    expect(await rootOf(written)).toBe(await rootOf(leftOut));
    expect(await rootOf(overwritten)).toBe(await rootOf(leftOut));
  });

  test('of a full disk of 16 TiB does not hold up the event loop', async () => {
    const tree = createDigestTree({ diskBytes: 16 * TIB });
    const page = randomBytes(PAGE_BYTES);
    // Every eighth page is full: what matters is that a slice of full pages is short, and 1 GiB of them is not needed.
    for (let number = 0; number < tree.pageCount; number += 1) {
      if (Math.floor(number / 4096) % 8 === 0) tree.setPage(number, page);
    }
    let leastBlockMs = Number.POSITIVE_INFINITY;
    // The best of three: other work of the machine holds it up as well.
    for (let round = 0; round < 3; round += 1) {
      const delay = monitorEventLoopDelay({ resolution: 1 });
      delay.enable();
      await tree.root();
      await tree.linear();
      delay.disable();
      leastBlockMs = Math.min(leastBlockMs, delay.max / 1e6);
    }
    expect(leastBlockMs).toBeLessThan(50);
  });
});

describe('linear', () => {
  test('is SHA-256 over the digests in the order of their indexes, with their number', async () => {
    await fc.assert(
      fc.asyncProperty(disks, async ({ diskBytes, indexes }) => {
        const tree = createDigestTree({ diskBytes });
        for (const index of indexes) tree.set(index, leaf(index));
        const written = [...new Set(indexes)].sort((a, b) => a - b);
        const { blockCount, linearSha256 } = await tree.linear();
        expect(blockCount).toBe(written.length);
        expect(linearSha256.equals(sha256(...written.map(leaf)))).toBe(true);
        expect([...tree.heldBlocks()]).toEqual(written);
        expect(tree.countHeld()).toBe(written.length);
      }),
      { numRuns: 40 },
    );
  });

  test('counts zeros that were written', async () => {
    const tree = createDigestTree({ diskBytes: 10 * BLOCK });
    tree.set(4, ZERO_BLOCK);
    expect(await tree.linear()).toEqual({ blockCount: 1, linearSha256: sha256(ZERO_BLOCK) });
  });
});

describe('blocks', () => {
  test('are read back, also where a digest begins with zeros', () => {
    const tree = createDigestTree({ diskBytes: 200 * BLOCK });
    const sparse = Buffer.alloc(32);
    sparse[31] = 1;
    tree.set(199, sparse);
    expect(tree.get(199)).toEqual(sparse);
    expect([tree.has(199), tree.has(198), tree.has(0)]).toEqual([true, false, false]);
    expect(tree.get(198)).toBeNull();
    expect(tree.get(0)).toBeNull();
    tree.set(199, sparse);
    expect(tree.countHeld()).toBe(1);
    const page = Buffer.from(tree.page(1) as Buffer);
    page.set(leaf(1));
    tree.setPage(1, page);
    expect([tree.countHeld(), ...tree.heldBlocks()]).toEqual([2, 128, 199]);
    tree.set(128, null);
    tree.set(199, null);
    expect(tree.countHeld()).toBe(0);
    expect(tree.get(199)).toBeNull();
    expect(tree.page(1)).toBeNull();
  });

  test('are copied: the caller keeps its buffer', () => {
    const tree = createDigestTree({ diskBytes: BLOCK });
    const digest = leaf(1);
    tree.set(0, digest);
    digest.fill(9);
    tree.get(0)?.fill(8);
    expect(tree.get(0)).toEqual(leaf(1));
    const page = Buffer.from(tree.page(0) as Buffer);
    tree.setPage(0, page);
    page.fill(7);
    expect(tree.get(0)).toEqual(leaf(1));
  });

  test('that the disk does not have, and digests that are none, are refused', () => {
    const tree = createDigestTree({ diskBytes: BLOCK + 1 });
    for (const index of [-1, 2, 0.5, Number.NaN]) {
      expect(() => tree.set(index, leaf(0))).toThrow(RangeError);
      expect(() => tree.get(index)).toThrow(RangeError);
      expect(() => tree.has(index)).toThrow(RangeError);
    }
    expect(() => tree.set(0, Buffer.alloc(32))).toThrow(RangeError);
    expect(() => tree.set(0, Buffer.alloc(31, 1))).toThrow(RangeError);
    expect(() => tree.setPage(1, Buffer.alloc(PAGE_BYTES))).toThrow(RangeError);
    expect(() => tree.setPage(0, Buffer.alloc(PAGE_BYTES - 1))).toThrow(RangeError);
    expect(() => tree.setPage(0, Buffer.alloc(PAGE_BYTES, 1))).toThrow(/beyond the end/);
    for (const diskBytes of [-1, 0.5, Number.NaN, 2 ** 50 + 1]) {
      expect(() => createDigestTree({ diskBytes })).toThrow(RangeError);
    }
  });
});
