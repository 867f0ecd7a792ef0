/**
 * The digest tree of a disk's content: what was copied, in 32 bytes that anybody can compute again from the disk.
 *
 *   leaf    SHA-256 over one content block of 524,288 bytes (512 KiB); the disk's last block is padded with zeros.
 *           A block that is all zeros has no leaf: 32 zero bytes stand in its place, and nothing is hashed for it.
 *   page    the leaves of 128 blocks in order, 4,096 bytes for 64 MiB of disk; after the disk's last block, zero bytes.
 *   root    SHA-256 over: the 23 ASCII bytes `landfall digest tree 1` and a line feed; the disk's length in bytes as 8
 *           bytes, most significant first; then for every page, in order, the SHA-256 over its 4,096 bytes. (The digest
 *           of a page without leaves is a constant, ad7facb2…; a disk of zeros is never read.)
 *   linear  SHA-256 over the leaves alone, in order, as EBS direct's CompleteSnapshot wants it over the blocks written.
 *
 * While a disk is copied 32 zero bytes also mean "not known yet". A block of zeros that was *written* (over a parent
 * snapshot that held data there) may be set with its real digest: `linear` counts it, root and file form do not.
 *
 * Memory: 4 KiB for every 64 MiB that hold data: 64 MiB for 1 TiB that is full, 1 GiB for 16 TiB.
 */
import { createHash, hash } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { BLOCK_BYTES } from './stream-encoder.ts';
import { isZero } from './zero-test.ts';

export type DigestTree = {
  readonly diskBytes: number;
  readonly blockCount: number;
  readonly pageCount: number;
  /** `sha256` is of the whole padded block; null where it is all zeros, or not known any more. */
  set(index: number, sha256: Uint8Array | null): void;
  /** A copy; null where the block is all zeros or not known. */
  get(index: number): Buffer | null;
  /** Would `get` give a digest? */
  has(index: number): boolean;
  /** Indexes of the blocks with a digest, ascending. A full disk of 1 TiB has two million: do not gather them. */
  heldBlocks(): Generator<number, void>;
  /** How many blocks have a digest. */
  countHeld(): number;
  /** The live bytes of a page, to be read only; null where it has no leaf. */
  page(number: number): Buffer | null;
  /** Copies the bytes. Throws RangeError where they are no page of this disk. */
  setPage(number: number, bytes: Uint8Array): void;
  /** Takes 1 s for 16 TiB that are full, in slices of some milliseconds. Blocks set meanwhile may count or not. */
  root(): Promise<Buffer>;
  /** In slices, as `root`. */
  linear(): Promise<{ blockCount: number; linearSha256: Buffer }>;
};

export const DIGEST_BYTES = 32;
export const BLOCKS_PER_PAGE = 128;
export const PAGE_BYTES = BLOCKS_PER_PAGE * DIGEST_BYTES;

/** No disk is larger (1 PiB), and no file may make us walk more pages than it has. */
export const MAX_DISK_BYTES = 2 ** 50;

const ROOT_DOMAIN = 'landfall digest tree 1\n';
const EMPTY_PAGE_SHA256 = hash('sha256', Buffer.alloc(PAGE_BYTES), 'buffer');
/** Of a block of zeros that was written, or cleared. */
export const ZERO_BLOCK_SHA256 = hash('sha256', Buffer.alloc(BLOCK_BYTES), 'buffer');

/** Hashing a page takes 3.3 µs, so a slice takes 5 ms on an idle core: far from the 50 ms that cost BullMQ its locks. */
const PAGES_PER_SLICE = 1_024;

/** Throws RangeError for a length that no disk has. */
export function createDigestTree({ diskBytes }: { diskBytes: number }): DigestTree {
  if (!Number.isSafeInteger(diskBytes) || diskBytes < 0 || diskBytes > MAX_DISK_BYTES) {
    throw new RangeError(`not the length of a disk in bytes: ${diskBytes}`);
  }
  const blockCount = Math.ceil(diskBytes / BLOCK_BYTES);
  const pageCount = Math.ceil(blockCount / BLOCKS_PER_PAGE);
  const pages = new Map<number, Buffer>();
  let heldCount = 0;

  const checkBlock = (index: number): void => {
    if (!Number.isInteger(index) || index < 0 || index >= blockCount) {
      throw new RangeError(`block ${index} of a disk of ${blockCount} blocks`);
    }
  };
  const has = (index: number): boolean => {
    checkBlock(index);
    const page = pages.get(Math.floor(index / BLOCKS_PER_PAGE));
    return page !== undefined && hasLeaf(page, index % BLOCKS_PER_PAGE);
  };
  const slotsIn = (page: number): number => Math.min(BLOCKS_PER_PAGE, blockCount - page * BLOCKS_PER_PAGE);
  const makePage = (number: number): Buffer => {
    const made = Buffer.alloc(PAGE_BYTES);
    pages.set(number, made);
    return made;
  };

  return {
    diskBytes,
    blockCount,
    pageCount,

    set(index, sha256) {
      checkBlock(index);
      if (sha256 !== null && (sha256.length !== DIGEST_BYTES || isZero(sha256))) {
        throw new RangeError(`not a SHA-256: ${Buffer.from(sha256).toString('hex')}`);
      }
      const number = Math.floor(index / BLOCKS_PER_PAGE);
      const at = (index % BLOCKS_PER_PAGE) * DIGEST_BYTES;
      heldCount += Number(sha256 !== null) - Number(has(index));
      if (sha256 !== null) (pages.get(number) ?? makePage(number)).set(sha256, at);
      else pages.get(number)?.fill(0, at, at + DIGEST_BYTES);
    },

    get(index) {
      if (!has(index)) return null;
      const page = pages.get(Math.floor(index / BLOCKS_PER_PAGE)) as Buffer;
      return Buffer.from(leafOf(page, index % BLOCKS_PER_PAGE));
    },

    has,

    *heldBlocks() {
      for (let number = 0; number < pageCount; number += 1) {
        const page = pages.get(number);
        if (page === undefined) continue;
        for (let slot = 0; slot < BLOCKS_PER_PAGE; slot += 1) {
          if (hasLeaf(page, slot)) yield number * BLOCKS_PER_PAGE + slot;
        }
      }
    },

    countHeld: () => heldCount,

    page(number) {
      const page = pages.get(number);
      return page === undefined || isZero(page) ? null : page;
    },

    setPage(number, bytes) {
      if (!Number.isInteger(number) || number < 0 || number >= pageCount) {
        throw new RangeError(`page ${number} of a disk of ${pageCount} pages`);
      }
      if (bytes.length !== PAGE_BYTES) throw new RangeError(`a page of ${bytes.length} bytes`);
      if (!isZero(bytes.subarray(slotsIn(number) * DIGEST_BYTES))) {
        throw new RangeError(`page ${number} has leaves beyond the end of the disk`);
      }
      heldCount += countLeaves(Buffer.from(bytes)) - countLeaves(pages.get(number));
      if (isZero(bytes)) pages.delete(number);
      else (pages.get(number) ?? makePage(number)).set(bytes);
    },

    async root() {
      const root = createHash('sha256').update(ROOT_DOMAIN).update(u64(diskBytes));
      for (let first = 0; first < pageCount; first += PAGES_PER_SLICE) {
        if (first > 0) await nextTurn();
        const end = Math.min(pageCount, first + PAGES_PER_SLICE);
        const digests = Buffer.alloc((end - first) * DIGEST_BYTES, EMPTY_PAGE_SHA256);
        for (let number = first; number < end; number += 1) {
          const page = pages.get(number);
          if (page === undefined) continue;
          digests.set(hash('sha256', contentPage(page), 'buffer'), (number - first) * DIGEST_BYTES);
        }
        root.update(digests);
      }
      return root.digest();
    },

    async linear() {
      const linear = createHash('sha256');
      let count = 0;
      for (let number = 0; number < pageCount; number += 1) {
        if (number % PAGES_PER_SLICE === 0) await nextTurn();
        const page = pages.get(number);
        if (page === undefined) continue;
        for (const [from, end] of leafRuns(page)) {
          linear.update(page.subarray(from * DIGEST_BYTES, end * DIGEST_BYTES));
          count += end - from;
        }
      }
      return { blockCount: count, linearSha256: linear.digest() };
    },
  };
}

/** A page as the content has it: blocks of zeros that were written have no leaf. */
export function contentPage(page: Buffer): Buffer {
  if (page.indexOf(ZERO_BLOCK_SHA256) === -1) return page;
  const content = Buffer.from(page);
  for (let slot = 0; slot < BLOCKS_PER_PAGE; slot += 1) {
    const leaf = leafOf(content, slot);
    if (leaf.equals(ZERO_BLOCK_SHA256)) leaf.fill(0);
  }
  return content;
}

function countLeaves(page: Buffer | undefined): number {
  let count = 0;
  if (page !== undefined) for (const [from, end] of leafRuns(page)) count += end - from;
  return count;
}

/** Runs of slots that have leaves, as [from, end). */
function* leafRuns(page: Buffer): Generator<[number, number], void> {
  let from = 0;
  for (let slot = 0; slot <= BLOCKS_PER_PAGE; slot += 1) {
    if (slot < BLOCKS_PER_PAGE && hasLeaf(page, slot)) continue;
    if (slot > from) yield [from, slot];
    from = slot + 1;
  }
}

function leafOf(page: Buffer, slot: number): Buffer {
  return page.subarray(slot * DIGEST_BYTES, (slot + 1) * DIGEST_BYTES);
}

/** Word by word, since nearly every leaf is told by its first one: a view for each of 33 million would take seconds. */
function hasLeaf(page: Buffer, slot: number): boolean {
  const end = (slot + 1) * DIGEST_BYTES;
  for (let at = slot * DIGEST_BYTES; at < end; at += 4) if (page.readInt32LE(at) !== 0) return true;
  return false;
}

function u64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
}
