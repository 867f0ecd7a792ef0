/**
 * Snapshots of landed disks as they were before they first booted (`keepSnapshots`): what `landfall verify` compares. A
 * disk that a machine runs from cannot be read, and is no longer what was uploaded. They are incremental, so that they
 * cost what the disk holds, not what it could hold.
 * https://learn.microsoft.com/azure/virtual-machines/disks-incremental-snapshots
 */
import type { Disk, Snapshot } from '@azure/arm-compute';
import { formatBytes } from '../../../src/domain/byte-size.ts';
import { LandfallError } from '../../../src/domain/errors.ts';
import type { LedgerEntry, TaggedThing } from '../../../src/domain/ports.ts';
import type { Azure } from './clients.ts';
import type { DiskUpload } from './disk.ts';
import { type AzureCall, ask, askIfFound, askUnless } from './errors.ts';
import { isOfRun, labelOf, MACHINE_TAG, resourceName, TOKEN_TAG, tagsFor, tagValue } from './names.ts';
import { isSameId } from './network-id.ts';
import { awaitOperation } from './operation.ts';
import { machineOptions } from './options.ts';
import { checkRun, type Removal } from './removal.ts';
import { askAddress } from './sas.ts';

export const SNAPSHOT_THING = 'snapshot';

/** Gives the snapshot's name. Takes none where an earlier attempt took one of this very disk. */
export async function takeSnapshot(upload: DiskUpload, disk: Pick<Disk, 'id' | 'uniqueId'>): Promise<string> {
  const { azure, request, context } = upload;
  const entry = await context.ledger.intend(`${SNAPSHOT_THING}:${request.disk}`);
  const name = snapshotName(entry);
  const found = await findSnapshot(azure, name, context.signal);
  if (found !== null && tagValue(found.tags, TOKEN_TAG) !== entry.token) throw foreign(azure, name);
  const isGone = found === null && entry.state === 'done';
  if (isGone || (found !== null && !isSound(found, disk))) {
    context.log('warn', `The snapshot ${name} is gone or not of the disk as it is now: it is taken anew.`);
    await removeSnapshot(azure, name, { run: context.run, signal: context.signal });
    await context.ledger.settle(entry, 'discarded');
    return takeSnapshot(upload, disk);
  }
  // While Azure still takes it, the same request again waits for it.
  if (found?.provisioningState !== 'Succeeded') await createSnapshot(upload, { entry, disk });
  if (entry.state !== 'done') await context.ledger.settle(entry, 'done', { name });
  return name;
}

/** Of the upload of this disk that is begun anew: evidence of another content, else. */
export async function forgetSnapshot({ azure, request, context }: DiskUpload): Promise<void> {
  const thing = `${SNAPSHOT_THING}:${request.disk}`;
  const entry = (await context.ledger.entries()).findLast((candidate) => candidate.thing === thing);
  if (entry?.state !== 'intended' && entry?.state !== 'done') return;
  await discardSnapshot(azure, entry, { run: context.run, signal: context.signal });
  await context.ledger.settle(entry, 'discarded');
}

async function createSnapshot(
  { azure, request, context }: DiskUpload,
  { entry, disk }: { entry: LedgerEntry; disk: Pick<Disk, 'id'> },
): Promise<void> {
  const { resourceGroup, location } = azure.options;
  const name = snapshotName(entry);
  const doing = `Taking a snapshot of ${context.machine} disk ${request.disk}`;
  const call = snapshotCall(azure, { doing, action: 'write', name });
  const snapshot: Snapshot = {
    location,
    incremental: true,
    tags: tagsFor({ entry, extra: machineOptions(request.to).tags }),
    creationData: { createOption: 'Copy', sourceResourceId: disk.id ?? '' },
  };
  const options = { ...azure.polling, abortSignal: context.signal };
  await ask(call, () =>
    awaitOperation(
      azure.compute.snapshots.createOrUpdate(resourceGroup, name, snapshot, options),
      context.signal,
    ),
  );
}

/** A disk that is made again has another unique id, even under the same name. */
function isSound(
  { creationData, provisioningState }: Snapshot,
  disk: Pick<Disk, 'id' | 'uniqueId'>,
): boolean {
  const { sourceResourceId, sourceUniqueId } = creationData ?? {};
  if (provisioningState === 'Failed' || !isSameId(sourceResourceId, disk.id)) return false;
  return sourceUniqueId === undefined || disk.uniqueId === undefined || sourceUniqueId === disk.uniqueId;
}

/** null where there is none. */
export async function findSnapshot(
  azure: Azure,
  name: string,
  signal: AbortSignal,
): Promise<Snapshot | null> {
  const call = snapshotCall(azure, { doing: 'Looking for a snapshot', action: 'read', name });
  return askIfFound(call, () =>
    azure.compute.snapshots.get(azure.options.resourceGroup, name, { abortSignal: signal }),
  );
}

/** The address of its bytes. */
export async function grantRead(
  azure: Azure,
  {
    name,
    doing,
    signal,
    accessSeconds,
  }: { name: string; doing: string; signal: AbortSignal; accessSeconds: number },
): Promise<string> {
  const call = snapshotCall(azure, { doing, action: 'beginGetAccess/action', name });
  const wanted = { access: 'Read' as const, durationInSeconds: accessSeconds };
  const options = { ...azure.polling, abortSignal: signal };
  return askAddress(call, () =>
    awaitOperation(
      azure.compute.snapshots.grantAccess(azure.options.resourceGroup, name, wanted, options),
      signal,
    ),
  );
}

/** Also where nobody has any access, or the snapshot is gone. */
export async function endRead(azure: Azure, name: string, signal: AbortSignal): Promise<void> {
  const doing = 'Ending the access to a snapshot';
  const call = snapshotCall(azure, { doing, action: 'endGetAccess/action', name });
  const options = { ...azure.polling, abortSignal: signal };
  await askIfFound(call, () =>
    awaitOperation(
      azure.compute.snapshots.revokeAccess(azure.options.resourceGroup, name, options),
      signal,
    ).then(() => true),
  );
}

/** What an entry `snapshot:N` made, also where its name was never noted. */
export function discardSnapshot(azure: Azure, entry: LedgerEntry, { signal }: Removal): Promise<void> {
  return removeSnapshot(azure, snapshotName(entry), { run: entry.run, signal });
}

export async function removeSnapshot(azure: Azure, name: string, { run, signal }: Removal): Promise<void> {
  const snapshot = await findSnapshot(azure, name, signal);
  if (snapshot === null) return;
  checkRun(snapshot.tags, { run, thing: `snapshot ${name}` });
  if (snapshot.diskState === 'ActiveSAS') await endRead(azure, name, signal);
  const call = snapshotCall(azure, { doing: 'Removing a snapshot', action: 'delete', name });
  const options = { ...azure.polling, abortSignal: signal };
  await askIfFound(call, () =>
    awaitOperation(azure.compute.snapshots.delete(azure.options.resourceGroup, name, options), signal).then(
      () => true,
    ),
  );
}

export async function listTaggedSnapshots(azure: Azure, { run, signal }: Removal): Promise<TaggedThing[]> {
  const { resourceGroup } = azure.options;
  const call: AzureCall = {
    doing: 'Listing what a run left',
    action: 'Microsoft.Compute/snapshots/read',
    resource: resourceGroup,
  };
  const things = await askUnless(['ResourceGroupNotFound'], call, async () => {
    const found: TaggedThing[] = [];
    const snapshots = azure.compute.snapshots.listByResourceGroup(resourceGroup, { abortSignal: signal });
    for await (const snapshot of snapshots) if (isOfRun(snapshot.tags, run)) found.push(thingOf(snapshot));
    return found;
  });
  return things ?? [];
}

function thingOf({ name = '', diskSizeBytes = 0, tags }: Snapshot): TaggedThing {
  const machine = tagValue(tags, MACHINE_TAG);
  return { kind: SNAPSHOT_THING, id: name, machine, detail: `of a disk of ${formatBytes(diskSizeBytes)}` };
}

function snapshotName(entry: LedgerEntry): string {
  return resourceName(entry, { label: labelOf(entry.thing) });
}

function snapshotCall(
  { options }: Pick<Azure, 'options'>,
  { doing, action, name }: { doing: string; action: string; name: string },
): AzureCall {
  const resource = `snapshot ${name} in ${options.resourceGroup}`;
  return { doing, action: `Microsoft.Compute/snapshots/${action}`, resource };
}

function foreign({ options }: Pick<Azure, 'options'>, name: string): LandfallError {
  return new LandfallError({
    code: 'target-refused',
    message: `The snapshot ${name} in ${options.resourceGroup} does not carry the tag ${TOKEN_TAG} of this upload, so it is somebody else's. Rename or remove it, then retry.`,
  });
}
