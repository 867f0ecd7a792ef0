/**
 * How a container format is written in order while its disk is read. Content comes in blocks of 512 KiB, the unit of the
 * digest tree, too. Workers *pack* a block (test it for zeros, digest it, compress it), in any order; one *encoder* per
 * file puts packed blocks in their order and adds what the format wants between, before and after them.
 *
 *   content block ──► pack (worker threads) ──► append (in order) ──► chunks ──► parts
 */
import type { JsonObject } from '../domain/json.ts';

/** EBS direct's block, and 8 grains of a VMDK: https://docs.aws.amazon.com/ebs/latest/userguide/ebs-accessing-snapshot.html */
export const BLOCK_BYTES = 512 * 1024;

/** One block of content, ready for its place in the file. */
export type PackedBlock = {
  index: number;
  /** SHA-256 over the content, padded with zeros to BLOCK_BYTES; null where the content is all zeros. */
  sha256: Uint8Array | null;
  /** What the file holds for it. Empty for zeros in formats that leave them out. */
  bytes: Uint8Array;
  /** CRC-32 of `bytes`. */
  crc32: number;
  /** Lengths of the pieces in `bytes`, as the format needs them (VMDK: one for each grain, 0 where it is all zeros). */
  pieceBytes: readonly number[];
  /** Gives the memory of `bytes` back to the packer. The encoder does so once the block's chunk was taken. */
  release?(): void;
};

/** Bytes of the file, in order. They hold until the next chunk is asked for: then their memory is used again. */
export type Chunk = { bytes: Uint8Array; crc32: number };

/**
 * Its state is exact after each chunk: a file that is cut there goes on from `snapshot()` in another process. Nothing of
 * an earlier attempt may be mixed with it after the cut, since compressed lengths may differ.
 */
export type StreamEncoder = {
  /** The first block that is not in the file yet; blocks that were left out before it are zeros. */
  readonly nextBlock: number;
  /** Length of the file so far. */
  readonly lengthBytes: number;
  /** The head of the file. Only for one that is new, and once. */
  begin(): Iterable<Chunk>;
  /** Blocks in ascending order, from `nextBlock`; those in between that are left out are zeros. */
  append(block: PackedBlock): Iterable<Chunk>;
  /** What is left of the disk as zeros, then tables and tail. */
  end(): Iterable<Chunk>;
  snapshot(): JsonObject;
};

/** Turns blocks of content into packed ones, on worker threads. */
export type BlockPacker = AsyncDisposable & {
  /** How many blocks may be packed at once. */
  readonly lanes: number;
  /**
   * Takes over `content` (BLOCK_BYTES of it, zeros after the end of the disk) until it resolves; gives it back as
   * `content`, possibly as another ArrayBuffer.
   */
  pack(work: { index: number; content: ArrayBuffer }): Promise<{ packed: PackedBlock; content: ArrayBuffer }>;
};
