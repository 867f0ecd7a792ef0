/**
 * A disk as a picture: at most 512 equal cells, and of each how much is copied and how much is zeros that are not sent. For
 * eyes only, and so small (2 KiB) that 10,000 disks cost nothing. Convert keeps where the source's holes are
 * (`map/DISK/holes`); upload what became of the rest (`map/DISK`), every two seconds. What is under way counts as copied.
 *
 * Both are one unsigned 16-bit number for each half of a cell: 65,535 is all of it; the copied half comes first.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { bytesOfBlock } from '../blocks/disk-reader.ts';
import type { BlockRun } from '../blocks/extents.ts';
import { BLOCK_BYTES } from '../blocks/stream-encoder.ts';
import type { Checkpoints } from '../domain/ports.ts';
import type { DigestLedger } from './digest-ledger.ts';

/** Shares of one cell, 0 to 1. */
export type DiskCell = { copied: number; zero: number };

export const MAX_CELLS = 512;
const FLUSH_MS = 2_000;
/** Looking at so many takes some milliseconds. */
const BLOCKS_PER_TURN = 65_536;
const WHOLE = 0xffff;
const CELL_BYTES_KEPT = 4;

export const holesKey = (disk: string): string => `map/${disk}/holes`;
export const mapKey = (disk: string): string => `map/${disk}`;

/** Whole blocks, so that each block lies in one cell. */
export function cellBytesOf(diskBytes: number): number {
  const blocks = Math.ceil(diskBytes / BLOCK_BYTES);
  return Math.max(1, Math.ceil(blocks / MAX_CELLS)) * BLOCK_BYTES;
}

/** null where they are none of a disk of this length. */
export function decodeCells(bytes: Uint8Array, diskBytes: number): DiskCell[] | null {
  const count = Math.ceil(diskBytes / cellBytesOf(diskBytes));
  if (bytes.length !== count * CELL_BYTES_KEPT) return null;
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: count }, (_none, cell) => ({
    copied: view.readUInt16BE(cell * CELL_BYTES_KEPT) / WHOLE,
    zero: view.readUInt16BE(cell * CELL_BYTES_KEPT + 2) / WHOLE,
  }));
}

/** What the source says to hold data, run by run; `keep` also forgets what an upload of before made of it. */
export function createHolesMap({ diskBytes }: { diskBytes: number }) {
  const cells = createCells(diskBytes);
  const data = new Float64Array(cells.count);
  return {
    takeData({ from, end }: BlockRun): void {
      // A run may be of millions of blocks.
      const endBytes = Math.min(end * BLOCK_BYTES, diskBytes);
      for (let at = from * BLOCK_BYTES; at < endBytes; ) {
        const cell = Math.floor(at / cells.bytes);
        const next = Math.min(endBytes, (cell + 1) * cells.bytes);
        data[cell] = (data[cell] ?? 0) + next - at;
        at = next;
      }
    },
    async keep(checkpoints: Checkpoints, disk: string): Promise<void> {
      const zero = data.map((bytes, cell) => cells.length(cell) - bytes);
      await checkpoints.setBytes(
        holesKey(disk),
        cells.encode({ copied: new Float64Array(cells.count), zero }),
      );
      await checkpoints.delete(mapKey(disk));
    },
  };
}

export type DiskMapKeeper = AsyncDisposable & {
  /** The same ledger; what is set in it goes into the map, too. */
  digests: DigestLedger;
  /** All is copied: what was not is zeros. */
  finish(): Promise<void>;
};

/** Keeps the map of a full copy while it goes. A map that cannot be written holds nobody up. */
export async function keepDiskMap(of: {
  checkpoints: Checkpoints;
  disk: string;
  diskBytes: number;
  digests: DigestLedger;
}): Promise<DiskMapKeeper> {
  const { checkpoints, disk, diskBytes, digests } = of;
  const cells = createCells(diskBytes);
  const [holes, seen] = await readZeros(of);
  const copied = new Float64Array(cells.count);
  const found = new Float64Array(cells.count);
  let isNews = true;
  let writing = Promise.resolve();

  const add = (to: Float64Array, index: number, sign: 1 | -1): void => {
    const cell = cells.of(index);
    to[cell] = (to[cell] ?? 0) + sign * bytesOfBlock(index, diskBytes);
    isNews = true;
  };
  let looked = 0;
  for (const index of digests.tree.heldBlocks()) {
    add(copied, index, 1);
    looked += 1;
    if (looked % BLOCKS_PER_TURN === 0) await nextTurn();
  }
  const flush = (zero: Float64Array): Promise<void> => {
    isNews = false;
    const bytes = cells.encode({ copied, zero });
    writing = writing.then(() => checkpoints.setBytes(mapKey(disk), bytes)).catch(() => {});
    return writing;
  };
  /** What an earlier attempt found to be zeros is not looked at again in every form; where it is, it counts once. */
  const zeros = (): Float64Array =>
    holes.map((bytes, cell) => Math.max(bytes + (found[cell] ?? 0), seen[cell] ?? 0));
  const timer = setInterval(() => {
    if (isNews) void flush(zeros());
  }, FLUSH_MS);

  return {
    digests: {
      ...digests,
      set(index, sha256) {
        const wasKnown = digests.isKnown(index);
        digests.set(index, sha256);
        if (sha256 !== null && !wasKnown) add(copied, index, 1);
        else if (sha256 === null) add(wasKnown ? copied : found, index, wasKnown ? -1 : 1);
      },
    },
    finish: () => flush(copied.map((bytes, cell) => cells.length(cell) - bytes)),
    async [Symbol.asyncDispose]() {
      clearInterval(timer);
      // Not waited for: Redis may be away, and whoever was told to stop must stop.
      if (isNews) void flush(zeros());
    },
  };
}

/** Bytes of zeros by cell: of the source's holes, and of all that an earlier attempt knew. */
async function readZeros(of: {
  checkpoints: Checkpoints;
  disk: string;
  diskBytes: number;
}): Promise<[Float64Array, Float64Array]> {
  const { checkpoints, disk, diskBytes } = of;
  const cells = createCells(diskBytes);
  const [holes = null, seen = null] = await checkpoints.getBytes([holesKey(disk), mapKey(disk)]);
  const zerosIn = (bytes: Uint8Array | null): Float64Array => {
    const decoded = bytes === null ? null : decodeCells(bytes, diskBytes);
    return Float64Array.from({ length: cells.count }, (_none, cell) =>
      Math.round((decoded?.[cell]?.zero ?? 0) * cells.length(cell)),
    );
  };
  return [zerosIn(holes), zerosIn(seen)];
}

function createCells(diskBytes: number) {
  const cellBytes = cellBytesOf(diskBytes);
  const count = Math.ceil(diskBytes / cellBytes);
  const length = (cell: number): number => Math.min(cellBytes, diskBytes - cell * cellBytes);
  return {
    bytes: cellBytes,
    count,
    length,
    of: (block: number): number => Math.floor((block * BLOCK_BYTES) / cellBytes),
    encode({ copied, zero }: { copied: Float64Array; zero: Float64Array }): Buffer {
      const bytes = Buffer.alloc(count * CELL_BYTES_KEPT);
      for (let cell = 0; cell < count; cell += 1) {
        const share = shareOf(copied[cell] ?? 0, length(cell));
        const rest = WHOLE - share;
        bytes.writeUInt16BE(share, cell * CELL_BYTES_KEPT);
        bytes.writeUInt16BE(
          Math.min(rest, shareOf(zero[cell] ?? 0, length(cell))),
          cell * CELL_BYTES_KEPT + 2,
        );
      }
      return bytes;
    },
  };
}

function shareOf(bytes: number, ofBytes: number): number {
  return Math.round(Math.min(1, Math.max(0, bytes / ofBytes)) * WHOLE);
}
