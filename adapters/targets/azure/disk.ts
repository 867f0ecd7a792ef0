/**
 * The managed disk that an upload goes into: found again, made, looked at.
 * https://learn.microsoft.com/rest/api/compute/disks/create-or-update
 */
import type { Disk } from '@azure/arm-compute';
import { formatBytes } from '../../../src/domain/byte-size.ts';
import { LandfallError } from '../../../src/domain/errors.ts';
import { isWindows } from '../../../src/domain/machine.ts';
import type { LedgerEntry, StepContext, UploadRequest } from '../../../src/domain/ports.ts';
import { VHD_FOOTER_BYTES, vhdDiskBytes } from '../../../src/images/vhd-footer.ts';
import type { Azure } from './clients.ts';
import { type AzureCall, ask, askIfFound } from './errors.ts';
import { labelOf, resourceName, TOKEN_TAG, tagsFor, tagValue } from './names.ts';
import { awaitOperation } from './operation.ts';
import { machineOptions } from './options.ts';
import { trustedLaunchOf } from './trusted-launch.ts';

export type DiskUpload = {
  azure: Azure;
  request: UploadRequest;
  context: StepContext;
  entry: LedgerEntry;
};

/**
 *   open ──► finished
 *    └──► lost: somebody deleted it, or revoked our access, which ends an upload however far it came
 * unknown: Azure tells no state while it makes a disk.
 * Azure's own states: ReadyToUpload, ActiveUpload, and Unattached and the like once access was revoked.
 */
export type UploadState = 'open' | 'ended' | 'gone' | 'unknown';

const MIB = 2 ** 20;
/** Azure makes no smaller disk from an upload. https://learn.microsoft.com/rest/api/compute/disks/create-or-update#creationdata */
const MIN_VIRTUAL_BYTES = 20 * MIB;

/** Of the disk as Azure has it: whole MiB, and filled up with zeros to the least that it takes. */
export function virtualBytesFor({ diskBytes }: Pick<UploadRequest, 'diskBytes'>): number {
  return Math.max(MIN_VIRTUAL_BYTES, vhdDiskBytes(diskBytes));
}

/** Of the whole VHD. */
export function uploadBytesFor(request: Pick<UploadRequest, 'diskBytes'>): number {
  return virtualBytesFor(request) + VHD_FOOTER_BYTES;
}

export function diskName(entry: LedgerEntry): string {
  return resourceName(entry, { label: labelOf(entry.thing) });
}

/** null where there is none. */
export async function findDisk(azure: Azure, name: string, signal: AbortSignal): Promise<Disk | null> {
  const { resourceGroup } = azure.options;
  const call = diskCall(azure, { doing: 'Looking for a disk', action: 'read', name });
  return askIfFound(call, () => azure.compute.disks.get(resourceGroup, name, { abortSignal: signal }));
}

/** Throws `target-refused` for a disk under this name that is not the one this entry made. */
export function checkDisk({ azure, request, entry }: DiskUpload, disk: Disk): void {
  const name = disk.name ?? diskName(entry);
  const at = `The disk ${name} in ${azure.options.resourceGroup}`;
  const leave = 'Landfall leaves it as it is: rename or remove it, then retry.';
  if (tagValue(disk.tags, TOKEN_TAG) !== entry.token)
    throw refused(
      `${at} does not carry the tag ${TOKEN_TAG} of this upload, so it is somebody else's. ${leave}`,
    );
  const { createOption, uploadSizeBytes } = disk.creationData ?? {};
  const wanted = uploadBytesFor(request);
  if (createOption !== 'Upload' || uploadSizeBytes !== wanted)
    throw refused(
      `${at} was made for ${createOption === 'Upload' ? `an upload of ${uploadSizeBytes} bytes` : createOption} instead of an upload of ${wanted} bytes (a disk of ${formatBytes(virtualBytesFor(request))} and its footer). ${leave}`,
    );
}

export function stateOf(disk: Disk | null): UploadState {
  if (disk === null) return 'gone';
  if (disk.provisioningState === 'Failed') return 'ended';
  if (disk.diskState === undefined) return 'unknown';
  return disk.diskState === 'ReadyToUpload' || disk.diskState === 'ActiveUpload' ? 'open' : 'ended';
}

export async function createDisk(upload: DiskUpload): Promise<Disk> {
  const { azure, request, context, entry } = upload;
  const { disks } = azure.compute;
  const name = diskName(entry);
  const doing = `Creating the disk for ${context.machine} disk ${request.disk}`;
  const call = diskCall(azure, { doing, action: 'write', name });
  const options = { ...azure.polling, abortSignal: context.signal };
  const made = await ask(call, () =>
    awaitOperation(
      disks.createOrUpdate(azure.options.resourceGroup, name, describeDisk(upload), options),
      context.signal,
    ),
  );
  // What the operation ends with may be the disk as it was asked for, without its id and state.
  return made.id !== undefined && made.diskState !== undefined
    ? made
    : await ask(call, () => disks.get(azure.options.resourceGroup, name, { abortSignal: context.signal }));
}

function describeDisk({ azure: { options }, request, entry }: DiskUpload): Disk {
  const { machine } = request;
  const to = machineOptions(request.to);
  const { diskEncryptionSet } = options;
  const sku = to.diskType ?? options.diskType;
  const isBootDisk = machine.disks.some(({ id, boots }) => boots && id === request.disk);
  const bootTraits: Partial<Disk> = {
    osType: isWindows(machine) ? 'Windows' : 'Linux',
    hyperVGeneration: machine.firmware === 'uefi' ? 'V2' : 'V1',
    supportedCapabilities: { architecture: 'x64' },
    ...(trustedLaunchOf(machine, to) === null ? {} : { securityProfile: { securityType: 'TrustedLaunch' } }),
  };
  return {
    location: options.location,
    sku: { name: sku },
    tags: tagsFor({ entry, extra: to.tags }),
    creationData: { createOption: 'Upload', uploadSizeBytes: uploadBytesFor(request) },
    ...(isBootDisk ? bootTraits : {}),
    // Zone-redundant disks are in all zones, and Azure refuses to be told one.
    ...(to.zone === undefined || sku.endsWith('_ZRS') ? {} : { zones: [to.zone] }),
    ...(diskEncryptionSet === undefined
      ? {}
      : {
          encryption: { type: 'EncryptionAtRestWithCustomerKey', diskEncryptionSetId: diskEncryptionSet },
        }),
  };
}

export function diskCall(
  { options }: Pick<Azure, 'options'>,
  { doing, action, name }: { doing: string; action: string; name: string },
): AzureCall {
  return {
    doing,
    action: `Microsoft.Compute/disks/${action}`,
    resource: `disk ${name} in ${options.resourceGroup}`,
  };
}

function refused(message: string): LandfallError {
  return new LandfallError({ code: 'target-refused', message });
}
