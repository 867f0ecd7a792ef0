import { randomBytes } from 'node:crypto';
import { expect, it } from 'vitest';
import { encodeParts } from '../../src/blocks/encode-parts.ts';
import { BLOCK_BYTES, type PackedBlock } from '../../src/blocks/stream-encoder.ts';
import type { Container } from '../../src/domain/image.ts';
import { openBlockPacker } from '../../src/images/block-packer.ts';
import { createStreamEncoder } from '../../src/images/stream-encoder.ts';

/** Two tables of a VMDK and more; the last block is short. */
const BLOCKS = 150;
const DISK_BYTES = BLOCKS * BLOCK_BYTES - 1024;

const isHole = (index: number): boolean => index >= 30 && index < 75;
const isZeros = (index: number): boolean => index % 5 === 0 || (index >= 110 && index < 120);

async function* pack(container: Container): AsyncGenerator<PackedBlock> {
  await using packer = await openBlockPacker({ container, diskBytes: DISK_BYTES, threads: 1 });
  for (let index = 0; index < BLOCKS; index += 1) {
    if (isHole(index)) continue;
    const content = new ArrayBuffer(BLOCK_BYTES);
    if (!isZeros(index)) randomBytes(4096).copy(new Uint8Array(content));
    yield (await packer.pack({ index, content })).packed;
  }
}

it.each(['raw', 'vhd-fixed', 'vmdk-stream-optimized'] as const)(
  'says of each part of a %s what was read and what held data before it ends',
  async (container) => {
    const encoder = createStreamEncoder({ container, diskBytes: DISK_BYTES });
    const encoded = encodeParts({
      encoder,
      diskBytes: DISK_BYTES,
      blocks: pack(container),
      from: null,
      partBytes: () => 20_000,
      onBlock: () => {},
    });
    let parts = 0;
    for await (const { after, release } of encoded) {
      const read = Array.from({ length: after.nextBlock }, (_, index) => index).filter((i) => !isHole(i));
      const whole = read.length * BLOCK_BYTES;
      expect(after).toMatchObject({
        readBytes: after.nextBlock === BLOCKS ? whole - 1024 : whole,
        dataBlocks: read.filter((index) => !isZeros(index)).length,
      });
      release();
      parts += 1;
    }
    expect(encoder.nextBlock).toBe(BLOCKS);
    expect(parts).toBeGreaterThan(10);
  },
);
