/** The header sector of a sparse VMDK extent, and of the footer that repeats it at the end of a stream. */
import { asOffset } from './disk-size.ts';

/** What Landfall uses of a sparse header; numbers are little-endian, offsets in sectors. */
export type SparseHeader = {
  version: number;
  capacitySectors: number;
  grainSectors: number;
  descriptorSector: number;
  descriptorSectors: number;
  entriesPerTable: number;
  redundantDirectorySector: number | null;
  /** null: at the end of the file, as the footer says. */
  directorySector: number | null;
  isCompressed: boolean;
  /** Is each grain led by its place and size? */
  hasMarkers: boolean;
};

const FLAG = { redundantDirectory: 1 << 1, markers: 1 << 17 };
const DIRECTORY_AT_END = 0xffff_ffff_ffff_ffffn;

export function parseSparseHeader(bytes: Buffer, label: string): SparseHeader {
  const sector = (at: number, what: string) => asOffset(bytes.readBigUInt64LE(at), { label, what });
  const flags = bytes.readUInt32LE(8);
  const directory = bytes.readBigUInt64LE(56);
  return {
    version: bytes.readUInt32LE(4),
    capacitySectors: claimedSectors(bytes.readBigUInt64LE(12)),
    grainSectors: sector(20, 'its grain size'),
    descriptorSector: sector(28, 'its descriptor offset'),
    descriptorSectors: sector(36, 'its descriptor size'),
    entriesPerTable: bytes.readUInt32LE(44),
    redundantDirectorySector:
      (flags & FLAG.redundantDirectory) === 0 ? null : sector(48, 'its redundant grain directory'),
    directorySector: directory === DIRECTORY_AT_END ? null : sector(56, 'its grain directory'),
    isCompressed: bytes.readUInt16LE(77) === 1,
    hasMarkers: (flags & FLAG.markers) !== 0,
  };
}

/** A capacity beyond 2^53 sectors stays absurd when it is cut to that: the size check refuses both. */
function claimedSectors(sectors: bigint): number {
  return Number(sectors > BigInt(Number.MAX_SAFE_INTEGER) ? BigInt(Number.MAX_SAFE_INTEGER) : sectors);
}
