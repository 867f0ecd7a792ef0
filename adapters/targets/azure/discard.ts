/**
 * Removes what one ledger entry made, whether or not its name was written down. Discard entries newest first: Azure keeps a
 * disk and an interface while a machine has them, and a group while an interface is in it.
 */
import type { LedgerEntry, StepContext } from '../../../src/domain/ports.ts';
import type { Azure } from './clients.ts';
import { DISK_THING, discardDisk } from './disk-removal.ts';
import { INTERFACE_THING } from './network-interface.ts';
import { discardSnapshot, SNAPSHOT_THING } from './snapshot.ts';
import { MACHINE_THING } from './virtual-machine.ts';
import { discardInterface, discardMachine, discardQuarantine } from './vm-removal.ts';

const QUARANTINE_THING = 'quarantine';

export async function discardEntry(azure: Azure, entry: LedgerEntry, context: StepContext): Promise<void> {
  const removal = { run: entry.run, signal: context.signal };
  const [kind] = entry.thing.split(':');
  switch (kind) {
    case DISK_THING:
      await discardDisk(azure, entry, removal);
      break;
    case SNAPSHOT_THING:
      await discardSnapshot(azure, entry, removal);
      break;
    case MACHINE_THING:
      await discardMachine(azure, entry, removal);
      break;
    case INTERFACE_THING:
      await discardInterface(azure, entry, removal);
      break;
    case QUARANTINE_THING:
      await discardQuarantine(azure, entry, removal);
      break;
    default:
      // An admission changes a machine and makes nothing.
      break;
  }
  if (entry.state !== 'discarded') await context.ledger.settle(entry, 'discarded');
}
