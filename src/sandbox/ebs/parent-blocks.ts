/** A snapshot's parent shines through where it has no block of its own: once it is sealed, its file holds these too. */
import { open } from 'node:fs/promises';
import type { Ec2Cloud } from '../ec2/cloud.ts';
import type { Snapshot } from '../ec2/state.ts';
import { BLOCK_BYTES, findBlocks, isZero, readBlock } from './block-file.ts';
import type { HeldSnapshot } from './held-snapshot.ts';

export async function takeParentBlocks({
  cloud,
  snapshot,
  held,
  signal,
}: {
  cloud: Ec2Cloud;
  snapshot: Snapshot;
  held: HeldSnapshot;
  signal: AbortSignal;
}): Promise<void> {
  const parentId = snapshot.writing?.parentId ?? null;
  if (parentId === null) return;
  const path = cloud.files.snapshot(parentId);
  await using parent = await open(path, 'r');
  const { size } = await parent.stat();
  const block = Buffer.allocUnsafe(BLOCK_BYTES);
  for (const index of await findBlocks({ path, fromBytes: 0, endBytes: size, signal })) {
    if (held.log.get(index) !== null) continue;
    signal.throwIfAborted();
    await readBlock(parent, index, block);
    if (!isZero(block)) await held.file.write(block, 0, BLOCK_BYTES, index * BLOCK_BYTES);
  }
}
