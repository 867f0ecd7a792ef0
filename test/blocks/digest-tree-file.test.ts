import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createDigestTree, type DigestTree } from '../../src/blocks/digest-tree.ts';
import { decodeDigestTree, encodeDigestTree } from '../../src/blocks/digest-tree-file.ts';

const BLOCK = 512 * 1024;
const leaf = (name: number): Buffer => createHash('sha256').update(String(name)).digest();
const ZERO_BLOCK = createHash('sha256').update(Buffer.alloc(BLOCK)).digest();

function makeTree(diskBytes: number, indexes: readonly number[]): DigestTree {
  const tree = createDigestTree({ diskBytes });
  for (const index of indexes) tree.set(index, leaf(index));
  return tree;
}

/** 300 blocks are three pages; the middle one is empty. */
const sample = (): DigestTree => makeTree(300 * BLOCK - 7, [0, 5, 127, 299]);

/** Changes a good file and puts a root at its end that fits nothing else. */
async function spoiled(change: (file: Buffer) => Buffer | undefined): Promise<Buffer> {
  const file = await encodeDigestTree(sample());
  return change(file) ?? file;
}

describe('the file form', () => {
  test('gives the same tree again', async () => {
    const disks = fc.array(fc.nat(999), { maxLength: 30 });
    await fc.assert(
      fc.asyncProperty(disks, async (indexes) => {
        const tree = makeTree(1000 * BLOCK, indexes);
        const read = await decodeDigestTree(await encodeDigestTree(tree));
        expect(read.diskBytes).toBe(tree.diskBytes);
        expect([...read.heldBlocks()]).toEqual([...tree.heldBlocks()]);
        expect(await read.linear()).toEqual(await tree.linear());
      }),
      { numRuns: 30 },
    );
  });

  test('takes 4,100 bytes for a page with data and none for others', async () => {
    expect(await encodeDigestTree(sample())).toHaveLength(28 + 2 * 4100 + 32);
    expect(await encodeDigestTree(makeTree(16 * 1024 ** 4, []))).toHaveLength(28 + 32);
  });

  test('is one for one content, whether zeros were written or not', async () => {
    const written = sample();
    written.set(6, ZERO_BLOCK);
    written.set(200, ZERO_BLOCK);
    expect((await encodeDigestTree(written)).equals(await encodeDigestTree(sample()))).toBe(true);
  });

  test('is read from the middle of other bytes', async () => {
    const file = await encodeDigestTree(sample());
    const around = Buffer.concat([Buffer.alloc(3, 1), file, Buffer.alloc(3, 1)]);
    const read = await decodeDigestTree(around.subarray(3, -3));
    expect(read.get(299)).toEqual(leaf(299));
  });
});

describe('a file that was not written so', () => {
  test('is refused whichever bit changed', async () => {
    const file = await encodeDigestTree(sample());
    await fc.assert(
      fc.asyncProperty(fc.nat(file.length - 1), fc.nat(7), async (at, bit) => {
        const changed = Buffer.from(file);
        changed[at] = (changed[at] as number) ^ (1 << bit);
        await expect(decodeDigestTree(changed)).rejects.toMatchObject({ code: 'digest-mismatch' });
      }),
    );
  });

  test('is refused however it was cut or lengthened', async () => {
    const file = await encodeDigestTree(sample());
    for (const length of [0, 7, 27, 59, 60, 4128, file.length - 1]) {
      await expect(decodeDigestTree(file.subarray(0, length))).rejects.toMatchObject({
        code: 'digest-mismatch',
      });
    }
    await expect(decodeDigestTree(Buffer.concat([file, Buffer.alloc(1)]))).rejects.toThrow(/bytes long/);
  });

  test('is refused for what is wrong with it', async () => {
    const second = 28 + 4100;
    const refusals: [RegExp, (file: Buffer) => Buffer | undefined][] = [
      [/does not begin with LFDIGEST/, (file) => void file.write('QFI\xfb', 'latin1')],
      [/version is 2/, (file) => void file.writeUInt32BE(2, 8)],
      [/not the length of a disk/, (file) => void file.writeBigUInt64BE(2n ** 63n, 16)],
      [/announces/, (file) => void file.writeUInt32BE(0xffffffff, 24)],
      [/page 0 comes after page 0/, (file) => void file.writeUInt32BE(0, second)],
      [/page 9 of a disk of 3 pages/, (file) => void file.writeUInt32BE(9, second)],
      [/page 2 is empty/, (file) => void file.fill(0, second + 4, second + 4100)],
      [/beyond the end of the disk/, (file) => void file.fill(1, second + 4 + 44 * 32, second + 4 + 45 * 32)],
      [/leaf for a block of zeros/, (file) => void file.set(ZERO_BLOCK, second + 4)],
      [/root is not the one/, (file) => void file.fill(3, 28 + 4 + 64, 28 + 4 + 96)],
    ];
    for (const [message, change] of refusals) {
      await expect(decodeDigestTree(await spoiled(change))).rejects.toThrow(message);
    }
  });
});
