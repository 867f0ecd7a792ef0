/**
 * Keeps a disk's digest tree in the step's checkpoints while the disk is copied, so that another attempt knows which
 * blocks are held, and has the whole tree at the end without reading a byte twice.
 *
 * `KEY/digests` says to what the digests belong: a source's state and one upload of it. `KEY/digests/N` is page N of the
 * tree: 4,096 bytes for every 64 MiB of disk that hold data, so 64 MiB for 1 TiB that is full.
 *
 * A block enters after the target acknowledged it, and only with `save` its digest is durable. No page is ever found
 * under a header that does not speak for it:
 *
 *   open, another identity    pages deleted, then the header
 *   first save                header written, then pages; an attempt that saved nothing leaves no trace
 *   clear                     header deleted, then pages; what a kill leaves of these is deleted by the next open
 */
import { z } from 'zod';
import { BLOCKS_PER_PAGE, createDigestTree, type DigestTree, MAX_DISK_BYTES } from '../blocks/digest-tree.ts';
import { BLOCK_BYTES } from '../blocks/stream-encoder.ts';
import type { JsonObject } from '../domain/json.ts';
import type { Checkpoints } from '../domain/ports.ts';

export type DigestLedger = {
  /** What is known: of earlier attempts as far as they saved, and of this one. */
  readonly tree: DigestTree;
  /** No attempt saved under this identity, or the ledger was cleared since. */
  readonly isNew: boolean;
  /** Has the block a digest? Blocks of zeros have none. */
  isKnown(index: number): boolean;
  /** Bytes of disk in the blocks that have a digest. */
  knownBytes(): number;
  /** Takes up a block that is held; null where it is zeros. Durable after the next `save`. */
  set(index: number, sha256: Uint8Array | null): void;
  /**
   * Writes what was set before it began, and be it that nothing was (a disk of zeros). One call at a time writes; calls meanwhile wait for the next, which writes for
   * all of them. After a failure everything is written by the next call.
   */
  save(): Promise<void>;
  /**
   * Takes what was set up to now, to be written by calling what is returned, once; null where `save` had nothing to do.
   * For those who must make blocks durable themselves before the ledger may tell of them.
   */
  prepareSave(): (() => Promise<void>) | null;
  /** Forgets all of it. The ledger is not to be used afterwards. */
  clear(): Promise<void>;
};

/** 1 MiB of answer, or of request, at once. */
const PAGES_AT_ONCE = 256;

export async function openDigestLedger(options: {
  checkpoints: Checkpoints;
  /** For example `upload/DISK`. */
  key: string;
  /** To what the digests belong: those of another source or upload are worth nothing. */
  identity: JsonObject;
  diskBytes: number;
}): Promise<DigestLedger> {
  const { checkpoints, key, identity, diskBytes } = options;
  const tree = createDigestTree({ diskBytes });
  const header = { identity, diskBytes };
  const saved = headerSchema.safeParse(await checkpoints.get(headerKey(key))).data ?? null;
  const isNew = JSON.stringify(saved) !== JSON.stringify(header);
  if (isNew) {
    const pageCount = Math.max(tree.pageCount, saved === null ? 0 : pagesOf(saved.diskBytes));
    await deletePages({ checkpoints, key, pageCount });
    await checkpoints.delete(headerKey(key));
  } else await readPages({ checkpoints, key, tree });
  const writer = createPageWriter({ checkpoints, key, tree, header: isNew ? header : null });
  return {
    tree,
    isNew,
    isKnown: tree.has,
    knownBytes: () => heldBytes(tree),
    set(index, sha256) {
      if (sha256 === null && !tree.has(index)) return;
      tree.set(index, sha256);
      writer.touch(Math.floor(index / BLOCKS_PER_PAGE));
    },
    save: writer.save,
    prepareSave: writer.prepare,
    async clear() {
      await writer.settled();
      await checkpoints.delete(headerKey(key));
      await deletePages({ checkpoints, key, pageCount: tree.pageCount });
    },
  };
}

const headerSchema = z.strictObject({
  identity: z.custom<JsonObject>((value) => typeof value === 'object' && value !== null),
  diskBytes: z.int().min(0).max(MAX_DISK_BYTES),
});

type Pages = { checkpoints: Checkpoints; key: string; tree: DigestTree };

function createPageWriter({ checkpoints, key, tree, ...open }: Pages & { header: JsonObject | null }) {
  const dirty = new Set<number>();
  /** null once it is written. */
  let { header } = open;
  /** Settles when nothing is being written; never rejects. */
  let writing: Promise<unknown> = Promise.resolve();
  /** The call of `save` that has not begun to write. */
  let waiting: Promise<void> | null = null;

  const writePages = async (pages: ReadonlyMap<number, Uint8Array>): Promise<void> => {
    if (header !== null) await checkpoints.set(headerKey(key), header);
    header = null;
    const entries = [...pages];
    for (let from = 0; from < entries.length; from += PAGES_AT_ONCE) {
      const batch = entries.slice(from, from + PAGES_AT_ONCE);
      await Promise.all(batch.map(([page, bytes]) => checkpoints.setBytes(pageKey(key, page), bytes)));
    }
  };
  const prepare = (): (() => Promise<void>) | null => {
    if (dirty.size === 0 && header === null) return null;
    const pages = new Map([...dirty].map((page) => [page, pageBytes(tree, page)]));
    dirty.clear();
    return () => {
      const written = writing.then(() => writePages(pages));
      writing = written.catch(() => {
        for (const page of pages.keys()) dirty.add(page);
      });
      return written;
    };
  };
  return {
    touch: (page: number) => void dirty.add(page),
    prepare,
    save: () => {
      waiting ??= writing.then(() => {
        waiting = null;
        return prepare()?.();
      });
      return waiting;
    },
    settled: async () => {
      await waiting?.catch(() => {});
      await writing;
    },
  };
}

/** As it is now: what is set while it is on its way belongs to the next save. */
function pageBytes(tree: DigestTree, page: number): Uint8Array {
  const bytes = tree.page(page);
  return bytes === null ? new Uint8Array(0) : Buffer.from(bytes);
}

async function readPages({ checkpoints, key, tree }: Pages): Promise<void> {
  for (const numbers of batches(tree.pageCount)) {
    const pages = await checkpoints.getBytes(numbers.map((number) => pageKey(key, number)));
    for (const [index, bytes] of pages.entries()) {
      if (bytes !== null && bytes.length > 0) takePage(tree, numbers[index] as number, bytes);
    }
  }
}

/** What is no page of this disk tells nothing: its blocks are copied again. */
function takePage(tree: DigestTree, number: number, bytes: Uint8Array): void {
  try {
    tree.setPage(number, bytes);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
  }
}

async function deletePages(pages: {
  checkpoints: Checkpoints;
  key: string;
  pageCount: number;
}): Promise<void> {
  for (const numbers of batches(pages.pageCount)) {
    await pages.checkpoints.delete(...numbers.map((number) => pageKey(pages.key, number)));
  }
}

function* batches(pageCount: number): Generator<number[], void> {
  for (let from = 0; from < pageCount; from += PAGES_AT_ONCE) {
    yield Array.from({ length: Math.min(PAGES_AT_ONCE, pageCount - from) }, (_, index) => from + index);
  }
}

function heldBytes(tree: DigestTree): number {
  const padding = tree.blockCount * BLOCK_BYTES - tree.diskBytes;
  const isPadded = tree.blockCount > 0 && tree.has(tree.blockCount - 1);
  return tree.countHeld() * BLOCK_BYTES - (isPadded ? padding : 0);
}

function pagesOf(diskBytes: number): number {
  return createDigestTree({ diskBytes }).pageCount;
}

function headerKey(key: string): string {
  return `${key}/digests`;
}

function pageKey(key: string, page: number): string {
  return `${key}/digests/${page}`;
}
