/**
 * Removes disks at Azure, and the access to them. Each is looked at first: what is gone already is done, and what does not
 * carry the run's tag is somebody else's and is refused.
 */
import type { Disk } from '@azure/arm-compute';
import { formatBytes } from '../../../src/domain/byte-size.ts';
import { LandfallError } from '../../../src/domain/errors.ts';
import type { LedgerEntry, TaggedThing } from '../../../src/domain/ports.ts';
import type { Azure } from './clients.ts';
import { diskCall, diskName, findDisk } from './disk.ts';
import { askIfFound, askUnless } from './errors.ts';
import { isOfRun, MACHINE_TAG, tagValue } from './names.ts';
import { awaitOperation } from './operation.ts';
import { checkRun, type Removal } from './removal.ts';
import { revokeAccess } from './sas.ts';

export const DISK_THING = 'disk';

/** What an entry `disk:N` made, also where its id was never noted. */
export function discardDisk(azure: Azure, entry: LedgerEntry, { signal }: Removal): Promise<void> {
  return removeDisk(azure, diskName(entry), { run: entry.run, signal });
}

export async function removeDisk(azure: Azure, name: string, { run, signal }: Removal): Promise<void> {
  const disk = await findDisk(azure, name, signal);
  if (disk === null) return;
  checkRun(disk.tags, { run, thing: `disk ${name}` });
  if (hasAccess(disk)) await endAccess(azure, name, signal);
  const call = diskCall(azure, { doing: 'Removing a disk', action: 'delete', name });
  const options = { ...azure.polling, abortSignal: signal };
  await askIfFound(call, () =>
    awaitOperation(azure.compute.disks.delete(azure.options.resourceGroup, name, options), signal).then(
      () => true,
    ),
  );
}

export async function listTaggedDisks(azure: Azure, { run, signal }: Removal): Promise<TaggedThing[]> {
  const { resourceGroup } = azure.options;
  const call = {
    doing: 'Listing what a run left',
    action: 'Microsoft.Compute/disks/read',
    resource: resourceGroup,
  };
  // A resource group that was removed holds nothing any more.
  const things = await askUnless(['ResourceGroupNotFound'], call, async () => {
    const found: TaggedThing[] = [];
    const disks = azure.compute.disks.listByResourceGroup(resourceGroup, { abortSignal: signal });
    for await (const disk of disks) if (isOfRun(disk.tags, run)) found.push(thingOf(disk));
    return found;
  });
  return things ?? [];
}

function thingOf({ name = '', diskState = '', diskSizeBytes = 0, tags }: Disk): TaggedThing {
  const detail = `${formatBytes(diskSizeBytes)}, ${diskState}`;
  return { kind: DISK_THING, id: name, machine: tagValue(tags, MACHINE_TAG), detail };
}

/** Azure deletes no disk to which somebody has access. */
function hasAccess({ diskState }: Disk): boolean {
  return diskState === 'ActiveUpload' || diskState === 'ActiveSAS';
}

/** Revoking ends an upload, and Azure finds fault with one that is not whole: the signatures are gone all the same. */
async function endAccess(azure: Azure, name: string, signal: AbortSignal): Promise<void> {
  try {
    await revokeAccess(azure, { name, doing: 'Ending the access to a disk', signal });
  } catch (error) {
    if (!(error instanceof LandfallError) || error.code !== 'target-refused') throw error;
  }
}
