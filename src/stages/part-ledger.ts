/**
 * What must be known to go on inside a file that is made while it is uploaded. Parts embed offsets that follow from the
 * lengths before them, so only an unbroken run of parts from the first one can be kept, with the encoder's state at its
 * end.
 *
 * `upload/DISK/encoder` is that state, and vouches for so many parts of the upload it names; `upload/DISK/parts/N` holds
 * parts 64N+1 to 64N+64 as `BYTES:CRC32:ETAG`. 10,000 parts are 157 values of about 4 KB; the state is the tables that
 * the encoder still needs (VMDK: 350 KB at most, for 2 TiB).
 */
import { z } from 'zod';
import type { PartEnd } from '../blocks/encode-parts.ts';
import type { JsonObject, JsonValue } from '../domain/json.ts';
import type { Checkpoints, HeldPart } from '../domain/ports.ts';

/** A part that the target acknowledged. */
export type KnownPart = HeldPart & { crc32: number };

export type PartLedger = {
  /** What an earlier attempt left: its parts in order, and how to go on after them. */
  left: { parts: readonly KnownPart[]; end: PartEnd } | null;
  /** Makes durable that the target holds these parts, all from the first one, and where the file stands after them. */
  save(parts: readonly KnownPart[], end: PartEnd): Promise<void>;
  clear(): Promise<void>;
};

const PARTS_PER_PAGE = 64;

export async function openPartLedger(options: {
  checkpoints: Checkpoints;
  disk: string;
  /** Of the upload at the target and of the content: parts of another one are worth nothing. */
  identity: JsonObject;
}): Promise<PartLedger> {
  const { checkpoints, disk, identity } = options;
  const saved = savedState.safeParse(await checkpoints.get(stateKey(disk))).data;
  const isSame = JSON.stringify(saved?.identity) === JSON.stringify(identity);
  const parts = saved !== undefined && isSame ? await readParts(checkpoints, disk, saved.partCount) : null;
  let savedCount = parts?.length ?? 0;
  let pageCount = pageOf(saved?.partCount ?? 0) + 1;
  return {
    left: saved === undefined || parts === null ? null : { parts, end: saved.end },
    async save(all, end) {
      for (let page = pageOf(savedCount); page * PARTS_PER_PAGE < all.length; page += 1) {
        await checkpoints.set(pageKey(disk, page), encodePage(all, page));
      }
      await checkpoints.set(stateKey(disk), { identity, partCount: all.length, end });
      savedCount = all.length;
      pageCount = Math.max(pageCount, pageOf(savedCount) + 1);
    },
    async clear() {
      await checkpoints.delete(stateKey(disk));
      for (let page = 0; page < pageCount; page += 1) await checkpoints.delete(pageKey(disk, page));
    },
  };
}

const jsonObject = z.custom<JsonObject>((value) => typeof value === 'object' && value !== null);
const savedState = z.object({
  identity: jsonObject,
  partCount: z.int().min(1),
  end: z.object({ snapshot: jsonObject, nextBlock: z.int(), readBytes: z.int(), dataBlocks: z.int() }),
});

/** null where a page is missing: then nothing can be gone on with. */
async function readParts(
  checkpoints: Checkpoints,
  disk: string,
  partCount: number,
): Promise<KnownPart[] | null> {
  const parts: KnownPart[] = [];
  for (let page = 0; page * PARTS_PER_PAGE < partCount; page += 1) {
    const entries = await checkpoints.get(pageKey(disk, page));
    if (!Array.isArray(entries)) return null;
    for (const entry of entries) parts.push(decodePart(entry));
  }
  return parts.length < partCount ? null : parts.slice(0, partCount);
}

function encodePage(parts: readonly KnownPart[], page: number): JsonValue {
  const first = page * PARTS_PER_PAGE;
  return parts
    .slice(first, first + PARTS_PER_PAGE)
    .map(({ bytes, crc32, etag }) => `${bytes}:${crc32}:${etag}`);
}

function decodePart(entry: JsonValue): KnownPart {
  const [bytes = '', crc32 = '', ...etag] = String(entry).split(':');
  return { bytes: Number(bytes), crc32: Number(crc32), etag: etag.join(':') };
}

function pageOf(partCount: number): number {
  return Math.floor(partCount / PARTS_PER_PAGE);
}

function stateKey(disk: string): string {
  return `upload/${disk}/encoder`;
}

function pageKey(disk: string, page: number): string {
  return `upload/${disk}/parts/${page}`;
}
