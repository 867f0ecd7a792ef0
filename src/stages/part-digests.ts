/**
 * The digests of the parts that were acknowledged, kept as checkpoints: the target cannot tell their SHA-256, and some
 * targets no CRC either. They spare a resumed upload from reading again what it already sent.
 *
 * `upload/DISK` says for which file and part size the digests are; `upload/DISK/N` holds those of parts 64N+1 to 64N+64,
 * about 5 KB as JSON. A table for 10,000 parts (the most that S3 takes) is 160 such values, under 2 MB in memory.
 */
import type { PartDigest } from '../blocks/file-parts.ts';
import type { Fingerprint } from '../domain/image.ts';
import type { JsonObject, JsonValue } from '../domain/json.ts';
import type { Checkpoints } from '../domain/ports.ts';

export type PartDigests = {
  /** By part number. */
  known: ReadonlyMap<number, PartDigest>;
  /** Takes up a part that the target acknowledged; durable after the next `save`. */
  add(number: number, digest: PartDigest): void;
  /** Writes what was added since the last call. One call at a time writes; others wait for it. */
  save(): Promise<void>;
};

const PARTS_PER_PAGE = 64;

export async function openPartDigests(options: {
  checkpoints: Checkpoints;
  disk: string;
  fingerprint: Fingerprint;
  partBytes: number;
  partCount: number;
}): Promise<PartDigests> {
  const { checkpoints, disk, fingerprint, partBytes, partCount } = options;
  const header: JsonObject = { fingerprint, partBytes, partCount };
  const saved = await checkpoints.get(headerKey(disk));
  const isSame = JSON.stringify(saved) === JSON.stringify(header);
  if (!isSame) await replaceHeader({ checkpoints, disk, saved, header });
  const known = isSame ? await readPages(options) : new Map<number, PartDigest>();
  const dirty = new Set<number>();
  let saving = Promise.resolve();
  const writeDirty = async (): Promise<void> => {
    for (const page of [...dirty]) {
      dirty.delete(page);
      const value = encodePage(known, page, partCount);
      await checkpoints.set(pageKey(disk, page), value).catch((error: unknown) => {
        dirty.add(page);
        throw error;
      });
    }
  };
  return {
    known,
    add: (number, digest) => {
      known.set(number, digest);
      dirty.add(pageOf(number));
    },
    save: () => {
      saving = saving.catch(() => {}).then(writeDirty);
      return saving;
    },
  };
}

/** Pages of another file must be gone before the header vouches for what is in them. */
async function replaceHeader(change: {
  checkpoints: Checkpoints;
  disk: string;
  saved: JsonValue;
  header: JsonObject;
}): Promise<void> {
  const { checkpoints, disk, saved, header } = change;
  for (let page = 0; page < pageCount(partCountOf(saved)); page += 1) {
    await checkpoints.delete(pageKey(disk, page));
  }
  await checkpoints.set(headerKey(disk), header);
}

async function readPages(from: {
  checkpoints: Checkpoints;
  disk: string;
  partCount: number;
}): Promise<Map<number, PartDigest>> {
  const known = new Map<number, PartDigest>();
  for (let page = 0; page < pageCount(from.partCount); page += 1) {
    const entries = await from.checkpoints.get(pageKey(from.disk, page));
    if (!Array.isArray(entries)) continue;
    for (const [index, entry] of entries.entries()) {
      const digest = decodeEntry(entry);
      if (digest !== null) known.set(page * PARTS_PER_PAGE + index + 1, digest);
    }
  }
  return known;
}

function encodePage(known: ReadonlyMap<number, PartDigest>, page: number, partCount: number): JsonValue[] {
  const first = page * PARTS_PER_PAGE + 1;
  const count = Math.min(PARTS_PER_PAGE, partCount - first + 1);
  return Array.from({ length: count }, (_, index) => {
    const digest = known.get(first + index);
    return digest === undefined ? null : `${digest.crc32}:${digest.sha256}`;
  });
}

function decodeEntry(entry: JsonValue): PartDigest | null {
  if (typeof entry !== 'string') return null;
  const [crc, sha256] = entry.split(':');
  return crc === undefined || sha256 === undefined ? null : { crc32: Number(crc), sha256 };
}

function partCountOf(saved: JsonValue): number {
  if (saved === null || typeof saved !== 'object' || Array.isArray(saved)) return 0;
  return typeof saved.partCount === 'number' ? saved.partCount : 0;
}

function pageOf(number: number): number {
  return Math.floor((number - 1) / PARTS_PER_PAGE);
}

function pageCount(partCount: number): number {
  return Math.ceil(partCount / PARTS_PER_PAGE);
}

function headerKey(disk: string): string {
  return `upload/${disk}`;
}

function pageKey(disk: string, page: number): string {
  return `upload/${disk}/${page}`;
}
