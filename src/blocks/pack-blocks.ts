/**
 * Reads blocks ahead and packs them on worker threads, and gives them in their order: as many are under way as keep the
 * threads busy, no more.
 *
 * Memory: (2 × threads + 2) × (512 KiB of content and about as much of packed bytes).
 */
import type { DiskReader } from './disk-reader.ts';
import { BLOCK_BYTES, type BlockPacker, type PackedBlock } from './stream-encoder.ts';

export type Packing = {
  reader: Pick<DiskReader, 'readBlock'>;
  packer: BlockPacker;
  indexes: AsyncIterable<number>;
  signal: AbortSignal;
};

export async function* packBlocks(packing: Packing): AsyncGenerator<PackedBlock> {
  const { reader, packer, indexes } = packing;
  const stopped = new AbortController();
  const signal = AbortSignal.any([packing.signal, stopped.signal]);
  const free: ArrayBuffer[] = [];
  const packOne = async (index: number): Promise<PackedBlock> => {
    const buffer = free.pop() ?? new ArrayBuffer(BLOCK_BYTES);
    await reader.readBlock(index, new Uint8Array(buffer), signal);
    const { packed, content } = await packer.pack({ index, content: buffer });
    free.push(content);
    return packed;
  };
  const window = 2 * packer.lanes + 2;
  const underWay: Promise<PackedBlock>[] = [];
  try {
    for await (const index of indexes) {
      signal.throwIfAborted();
      const block = packOne(index);
      // Awaited in its turn; until then its failure must not end the process.
      block.catch(() => {});
      underWay.push(block);
      if (underWay.length >= window) yield await (underWay.shift() as Promise<PackedBlock>);
    }
    while (underWay.length > 0) yield await (underWay.shift() as Promise<PackedBlock>);
  } finally {
    // Whoever stops early must not leave reads behind that fill buffers nobody owns.
    stopped.abort();
    await Promise.allSettled(underWay);
  }
}
