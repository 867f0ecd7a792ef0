import { hash } from 'node:crypto';
import { createDigestTree } from '../../src/blocks/digest-tree.ts';
import { BLOCK_BYTES } from '../../src/blocks/stream-encoder.ts';

/** The root of the disk's digest tree, from its content. */
export async function rootOf(bytes: Buffer): Promise<string> {
  const tree = createDigestTree({ diskBytes: bytes.length });
  for (let index = 0; index < tree.blockCount; index += 1) {
    const block = Buffer.alloc(BLOCK_BYTES);
    bytes.copy(block, 0, index * BLOCK_BYTES, (index + 1) * BLOCK_BYTES);
    if (block.some((byte) => byte !== 0)) tree.set(index, hash('sha256', block, 'buffer'));
  }
  return (await tree.root()).toString('hex');
}
