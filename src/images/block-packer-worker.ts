/**
 * The thread that packing-threads.ts starts: packs one block after the other and answers in the order it was asked. It
 * imports little, since each thread loads its modules anew.
 */
import { hash } from 'node:crypto';
import { getPriority, setPriority } from 'node:os';
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { crc32 } from 'node:zlib';
import { BLOCK_BYTES } from '../blocks/stream-encoder.ts';
import { isZero } from '../blocks/zero-test.ts';
import type { Container } from '../domain/image.ts';
import { type DeflaterName, openDeflater } from './deflate.ts';
import { type PackedGrains, packGrains } from './vmdk-grain.ts';

export type PackerSettings = { container: Container; diskBytes: number; deflater: DeflaterName };

/** Shared with who asks: not 0 once no answer is wanted any more. A message must follow, for a thread that waits for one. */
export type PackerThreadData = { isClosed: Int32Array };

/** Both buffers change hands; `spare` is for what the file holds, or to be given back where that is the content itself. */
export type PackJob = PackerSettings & { index: number; content: ArrayBuffer; spare: ArrayBuffer };

/** Both buffers come back, perhaps with changed roles. */
export type PackAnswer = PackedGrains & {
  content: ArrayBuffer;
  /** Its first `lengthBytes` are what the file holds. */
  packed: ArrayBuffer;
  sha256: Uint8Array | null;
  crc32: number;
};

/** Behind the event loop, which leases and other disks wait for: as many of these threads as cores kept it waiting 75 ms. */
const NICE = 10;

// On Linux, of the thread that asks.
setPriority(Math.max(NICE, getPriority()));
const port = parentPort as MessagePort;

const { isClosed } = workerData as PackerThreadData;

port.on('message', (job: PackJob | null) => {
  // With its port closed nothing keeps the thread.
  if (job === null || Atomics.load(isClosed, 0) !== 0) return port.close();
  const answer = pack(job);
  port.postMessage(answer, [answer.content, answer.packed]);
});

function pack({ container, diskBytes, deflater: name, index, content, spare }: PackJob): PackAnswer {
  const bytes = new Uint8Array(content);
  if (isZero(bytes))
    return { content, packed: spare, lengthBytes: 0, pieceBytes: [], sha256: null, crc32: 0 };
  // A copy, since what is posted takes the whole buffer along that it lies in.
  const sha256 = new Uint8Array(hash('sha256', bytes, 'buffer'));
  switch (container) {
    case 'vmdk-stream-optimized': {
      const into = Buffer.from(spare);
      // For this block only: a thread may die of any error, and would leave behind what it holds outside of its heap.
      using deflater = openDeflater(name);
      const grains = packGrains({ index, content: bytes, into, deflater });
      const crc = crc32(into.subarray(0, grains.lengthBytes));
      return { content, packed: spare, ...grains, sha256, crc32: crc };
    }
    case 'vhd-fixed':
    case 'raw': {
      const lengthBytes = Math.min(BLOCK_BYTES, diskBytes - index * BLOCK_BYTES);
      const crc = crc32(bytes.subarray(0, lengthBytes));
      return { content: spare, packed: content, lengthBytes, pieceBytes: [], sha256, crc32: crc };
    }
    default:
      return container satisfies never;
  }
}
