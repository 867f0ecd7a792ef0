/**
 * Everything that carries a run's tag, also what was made just before a crash and never written down. Listed in the order
 * in which it can be removed: what uses others comes before them.
 */
import { LandfallError } from '../../../src/domain/errors.ts';
import type { TaggedThing } from '../../../src/domain/ports.ts';
import type { Azure } from './clients.ts';
import { DISK_THING, listTaggedDisks, removeDisk } from './disk-removal.ts';
import { INTERFACE_THING } from './network-interface.ts';
import { closeQuarantine } from './quarantine.ts';
import type { Removal } from './removal.ts';
import { listTaggedSnapshots, removeSnapshot, SNAPSHOT_THING } from './snapshot.ts';
import { MACHINE_THING } from './virtual-machine.ts';
import { GROUP_THING, listTaggedGroups, listTaggedInterfaces, listTaggedMachines } from './vm-leftovers.ts';
import { removeInterface, removeMachine } from './vm-removal.ts';

export async function findTagged(azure: Azure, run: string, signal: AbortSignal): Promise<TaggedThing[]> {
  const removal = { run, signal };
  return [
    ...(await listTaggedMachines(azure, removal)),
    ...(await listTaggedInterfaces(azure, removal)),
    ...(await listTaggedDisks(azure, removal)),
    ...(await listTaggedSnapshots(azure, removal)),
    ...(await listTaggedGroups(azure, removal)),
  ];
}

export async function removeTagged(azure: Azure, { kind, id }: TaggedThing, removal: Removal): Promise<void> {
  switch (kind) {
    case DISK_THING:
      return removeDisk(azure, id, removal);
    case SNAPSHOT_THING:
      return removeSnapshot(azure, id, removal);
    case MACHINE_THING:
      return removeMachine(azure, id, removal);
    case INTERFACE_THING:
      return removeInterface(azure, id, removal);
    case GROUP_THING:
      if (await closeQuarantine(azure, id, removal)) return;
      throw new LandfallError({
        code: 'target-refused',
        retryable: true,
        message: `The quarantine group ${id} is still in use: discard or admit the machines in it first.`,
      });
    default:
      throw new TypeError(`no kind of thing at Azure: ${kind}`);
  }
}
