/**
 * Packs blocks on worker threads: testing for zeros, digesting and deflating take 3 ms a block, and as many cores as
 * there are. Buffers go to a thread and come back without being copied, and are used again once their chunk was taken.
 *
 * Memory: 17 MiB a thread, and for each block that is being packed or was not released yet 0.5 MiB of packed bytes.
 */
import { BLOCK_BYTES, type BlockPacker, type PackedBlock } from '../blocks/stream-encoder.ts';
import type { LandfallError } from '../domain/errors.ts';
import type { Container } from '../domain/image.ts';
import type { PackAnswer, PackerSettings } from './block-packer-worker.ts';
import { type DeflaterName, fastestDeflater } from './deflate.ts';
import { borrowThreads, packerClosed, startThreads } from './packing-threads.ts';
import { MAX_PACKED_BLOCK_BYTES } from './vmdk-grain.ts';

export type BlockPackerOptions = {
  container: Container;
  diskBytes: number;
  /** So many of its own. Default: those that all packers of the process share. */
  threads?: number;
  /** Of VMDK's grains. Default: the fastest of the host. */
  deflater?: DeflaterName;
};

/**
 * Throws `internal` where no thread can be started. When a thread dies, the blocks it had are rejected, and so is
 * whatever comes after: the packer is to be disposed.
 */
export async function openBlockPacker(options: BlockPackerOptions): Promise<BlockPacker> {
  const { container, diskBytes, deflater = fastestDeflater() } = options;
  const threads = await (options.threads === undefined ? borrowThreads() : startThreads(options.threads));
  const settings: PackerSettings = { container, diskBytes, deflater };
  const spares: ArrayBuffer[] = [];
  const underWay = new Set<(reason: LandfallError) => void>();
  let isClosed = false;

  /** Threads that others use go on when this packer is closed. */
  const unlessClosed = (answer: Promise<PackAnswer>): Promise<PackAnswer> =>
    new Promise((resolve, reject) => {
      underWay.add(reject);
      answer.then(resolve, reject).finally(() => underWay.delete(reject));
    });
  return {
    lanes: threads.count,
    async pack({ index, content }) {
      if (isClosed) throw packerClosed();
      checkWork({ index, content, diskBytes });
      const spare = spares.pop() ?? new ArrayBuffer(spareBytesOf(container));
      const answer = await unlessClosed(threads.ask({ ...settings, index, content, spare }));
      return { packed: packedBlock(index, answer, spares), content: answer.content };
    },
    async [Symbol.asyncDispose]() {
      isClosed = true;
      for (const reject of underWay) reject(packerClosed());
      await threads[Symbol.asyncDispose]();
    },
  };
}

function packedBlock(index: number, answer: PackAnswer, spares: ArrayBuffer[]): PackedBlock {
  const { packed, lengthBytes, sha256, crc32, pieceBytes } = answer;
  if (lengthBytes === 0) {
    spares.push(packed);
    return { index, sha256, bytes: NOTHING, crc32, pieceBytes };
  }
  let isReleased = false;
  const release = (): void => {
    if (isReleased) return;
    isReleased = true;
    spares.push(packed);
  };
  return { index, sha256, bytes: new Uint8Array(packed, 0, lengthBytes), crc32, pieceBytes, release };
}

const NOTHING = new Uint8Array(0);

function spareBytesOf(container: Container): number {
  return container === 'vmdk-stream-optimized' ? MAX_PACKED_BLOCK_BYTES : BLOCK_BYTES;
}

function checkWork(work: { index: number; content: ArrayBuffer; diskBytes: number }): void {
  const { index, content, diskBytes } = work;
  if (content.byteLength !== BLOCK_BYTES)
    throw new RangeError(`a block of ${content.byteLength} bytes where ${BLOCK_BYTES} are wanted`);
  if (!Number.isInteger(index) || index < 0 || index * BLOCK_BYTES >= diskBytes)
    throw new RangeError(`block ${index} of a disk of ${diskBytes} bytes`);
}
