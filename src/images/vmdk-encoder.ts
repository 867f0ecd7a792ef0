/**
 * Writes a stream-optimised VMDK. Between two chunks its state is where the file ends, the table of the grains since the
 * last one that was written, and the directory of those that were.
 *
 * Memory: the directory, 4 bytes for each 32 MiB of disk (256 KiB for 2 TiB), once more in a snapshot's base64.
 */
import { z } from 'zod';
import { crc32 } from '../blocks/crc32.ts';
import { BLOCK_BYTES, type Chunk, type PackedBlock, type StreamEncoder } from '../blocks/stream-encoder.ts';
import { LandfallError } from '../domain/errors.ts';
import type { JsonObject } from '../domain/json.ts';
import { SECTOR_BYTES } from './disk-size.ts';
import { parseSnapshot } from './encoder-snapshot.ts';
import { GRAINS_PER_BLOCK, MAX_PACKED_GRAIN_BYTES } from './vmdk-grain.ts';
import {
  DISK_BYTES_PER_TABLE,
  HEAD_BYTES,
  MARKER_BYTES,
  TABLE_BYTES,
  tableCountOf,
  tailBytesOf,
  vmdkHead,
  vmdkTable,
  vmdkTail,
} from './vmdk-stream.ts';

const CONTAINER = 'vmdk-stream-optimized';
const BLOCKS_PER_TABLE = DISK_BYTES_PER_TABLE / BLOCK_BYTES;
/** Tables name sectors of the file in 32 bits: 2 TiB. */
const MAX_FILE_SECTORS = 2 ** 32;

export function createVmdkEncoder(options: {
  diskBytes: number;
  identity: string;
  snapshot?: JsonObject;
}): StreamEncoder {
  const { diskBytes, identity } = options;
  const blockCount = Math.ceil(diskBytes / BLOCK_BYTES);
  const state = options.snapshot === undefined ? newState(diskBytes) : readState(options.snapshot, diskBytes);

  const advance = (lengthBytes: number): void => {
    if (state.sector + lengthBytes / SECTOR_BYTES > MAX_FILE_SECTORS) throw tooLong(diskBytes);
    state.sector += lengthBytes / SECTOR_BYTES;
  };
  function* closeTable(): Generator<Chunk> {
    if (!state.hasGrains) return;
    const bytes = vmdkTable(state.table);
    const tableSector = state.sector + MARKER_BYTES / SECTOR_BYTES;
    advance(bytes.length);
    state.directory.writeUInt32LE(tableSector, state.tableIndex * 4);
    state.tablesClosed = state.tableIndex + 1;
    state.nextBlock = Math.min(blockCount, state.tablesClosed * BLOCKS_PER_TABLE);
    state.table.fill(0);
    state.hasGrains = false;
    yield chunkOf(bytes);
  }
  const enterGrains = ({ index, bytes, pieceBytes }: PackedBlock): void => {
    let sector = state.sector;
    advance(bytes.length);
    const firstEntry = (index % BLOCKS_PER_TABLE) * GRAINS_PER_BLOCK;
    for (const [grain, lengthBytes] of pieceBytes.entries()) {
      if (lengthBytes === 0) continue;
      state.table.writeUInt32LE(sector, (firstEntry + grain) * 4);
      state.hasGrains = true;
      sector += lengthBytes / SECTOR_BYTES;
    }
  };

  return {
    get nextBlock() {
      return state.nextBlock;
    },
    get lengthBytes() {
      return state.sector * SECTOR_BYTES;
    },
    *begin() {
      if (state.sector !== 0) throw new RangeError('the head of this file is written already');
      const head = vmdkHead({ diskBytes, identity });
      advance(head.length);
      yield chunkOf(head);
    },
    *append(block) {
      const { index, bytes, crc32: crc } = block;
      if (index < state.nextBlock || index >= blockCount)
        throw new RangeError(`block ${index} of ${blockCount}, where ${state.nextBlock} is next`);
      const tableIndex = Math.floor(index / BLOCKS_PER_TABLE);
      if (tableIndex !== state.tableIndex) yield* closeTable();
      state.tableIndex = tableIndex;
      if (bytes.length > 0) enterGrains(block);
      state.nextBlock = index + 1;
      if (bytes.length > 0) yield { bytes, crc32: crc };
      block.release?.();
    },
    *end() {
      yield* closeTable();
      state.nextBlock = blockCount;
      state.tailSector ??= state.sector;
      const { directory, tailSector } = state;
      let sector = tailSector;
      for (const piece of vmdkTail({
        diskBytes,
        directory,
        startSector: tailSector,
        pieceBytes: BLOCK_BYTES,
      })) {
        sector += piece.length / SECTOR_BYTES;
        if (sector <= state.sector) continue;
        advance(piece.length);
        yield chunkOf(piece);
      }
    },
    snapshot: () => writeState(state, diskBytes),
  };
}

/** A strict bound: each grain stored, and each block that holds data under a table of its own while there are so many. */
export function maxVmdkBytes({ diskBytes, dataBytes }: { diskBytes: number; dataBytes: number }): number {
  const dataBlocks = Math.ceil(Math.min(dataBytes, diskBytes) / BLOCK_BYTES);
  const tables = Math.min(dataBlocks, tableCountOf(diskBytes));
  const grainsBytes = dataBlocks * GRAINS_PER_BLOCK * MAX_PACKED_GRAIN_BYTES;
  return HEAD_BYTES + grainsBytes + tables * (MARKER_BYTES + TABLE_BYTES) + tailBytesOf(diskBytes);
}

type State = {
  /** Where the file ends. */
  sector: number;
  nextBlock: number;
  /** The table that is being filled, and which of the directory's it will be. */
  table: Buffer;
  tableIndex: number;
  hasGrains: boolean;
  directory: Buffer;
  /** Entries of the directory from here on are 0. */
  tablesClosed: number;
  /** Where the tail begins; null before it does. */
  tailSector: number | null;
};

function newState(diskBytes: number): State {
  return {
    sector: 0,
    nextBlock: 0,
    table: Buffer.alloc(TABLE_BYTES),
    tableIndex: 0,
    hasGrains: false,
    directory: Buffer.alloc(tableCountOf(diskBytes) * 4),
    tablesClosed: 0,
    tailSector: null,
  };
}

const Snapshot = z.object({
  container: z.literal(CONTAINER),
  diskBytes: z.int().min(0),
  sector: z.int().min(0).max(MAX_FILE_SECTORS),
  nextBlock: z.int().min(0),
  tableIndex: z.int().min(0),
  table: z.base64(),
  directory: z.base64(),
  tailSector: z.int().nullable(),
});

function writeState(state: State, diskBytes: number): JsonObject {
  const { sector, nextBlock, tableIndex, tailSector } = state;
  const table = state.hasGrains ? state.table.toString('base64') : '';
  const directory = state.directory.toString('base64', 0, state.tablesClosed * 4);
  return { container: CONTAINER, diskBytes, sector, nextBlock, tableIndex, table, directory, tailSector };
}

function readState(snapshot: JsonObject, diskBytes: number): State {
  const saved = parseSnapshot({ schema: Snapshot, snapshot, diskBytes });
  const state = newState(diskBytes);
  const tableBytes = state.table.write(saved.table, 'base64');
  const directoryBytes = state.directory.write(saved.directory, 'base64');
  const { sector, nextBlock, tableIndex, tailSector } = saved;
  const hasGrains = tableBytes > 0;
  return {
    ...state,
    sector,
    nextBlock,
    tableIndex,
    hasGrains,
    tablesClosed: directoryBytes / 4,
    tailSector,
  };
}

function chunkOf(bytes: Uint8Array): Chunk {
  return { bytes, crc32: crc32(bytes) };
}

function tooLong(diskBytes: number): LandfallError {
  return new LandfallError({
    code: 'target-refused',
    message: `The stream-optimised VMDK of a disk of ${diskBytes} bytes grows beyond 2 TiB, which its tables cannot address. Let the disk go up as RAW, or by \`via: ebs-direct\`.`,
    context: { diskBytes, maxFileBytes: MAX_FILE_SECTORS * SECTOR_BYTES },
  });
}
