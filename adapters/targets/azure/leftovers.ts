/**
 * Everything that carries a run's tag, also what was made just before a crash and never written down. Listed in the order
 * in which it can be removed: what uses others comes before them.
 */
import type { TaggedThing } from '../../../src/domain/ports.ts';
import type { Azure } from './clients.ts';
import { DISK_THING, listTaggedDisks, removeDisk } from './disk-removal.ts';
import type { Removal } from './removal.ts';
import { listTaggedSnapshots, removeSnapshot, SNAPSHOT_THING } from './snapshot.ts';

export async function findTagged(azure: Azure, run: string, signal: AbortSignal): Promise<TaggedThing[]> {
  const removal = { run, signal };
  return [...(await listTaggedDisks(azure, removal)), ...(await listTaggedSnapshots(azure, removal))];
}

export async function removeTagged(azure: Azure, { kind, id }: TaggedThing, removal: Removal): Promise<void> {
  switch (kind) {
    case DISK_THING:
      return removeDisk(azure, id, removal);
    case SNAPSHOT_THING:
      return removeSnapshot(azure, id, removal);
    default:
      throw new TypeError(`no kind of thing at Azure: ${kind}`);
  }
}
