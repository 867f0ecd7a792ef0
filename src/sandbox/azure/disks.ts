/**
 * Managed disks: made, described, tagged, deleted.
 * https://learn.microsoft.com/rest/api/compute/disks
 */
import { randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { z } from 'zod';
import type { JsonObject } from '../../domain/json.ts';
import type { HttpAnswer } from '../http.ts';
import { type ArmCall, answerArmJson, parameterOf, readBody, tagsSchema } from './arm-call.ts';
import { checkDiskRequest } from './catalogue.ts';
import type { AzureCloud, AzureDesk } from './cloud.ts';
import { checkEncryption } from './encryption-sets.ts';
import { invalidParameter, notAllowed, propertyChange, resourceNotFound } from './refusals.ts';
import { findById, keyOf } from './resource-id.ts';
import type { ManagedDisk } from './state.ts';
import { FOOTER_BYTES } from './vhd-check.ts';

/** https://learn.microsoft.com/azure/virtual-machines/windows/disks-upload-vhd-to-managed-disk-powershell */
const MIN_UPLOAD_BYTES = 20_972_032;
const MAX_UPLOAD_BYTES = 35_183_298_347_520;
const GIB = 1024 ** 3;
const NAME = /^[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,78}[A-Za-z0-9_])?$/;

const diskSchema = z.strictObject({
  location: z.string(),
  tags: tagsSchema.optional(),
  zones: z.array(z.string()).max(1).optional(),
  sku: z.strictObject({ name: z.string() }).optional(),
  properties: z.strictObject({
    osType: z.enum(['Linux', 'Windows']).optional(),
    hyperVGeneration: z.enum(['V1', 'V2']).optional(),
    diskSizeGB: z.int().positive().max(32_767).optional(),
    creationData: z.discriminatedUnion('createOption', [
      z.strictObject({ createOption: z.literal('Upload'), uploadSizeBytes: z.int() }),
      z.strictObject({ createOption: z.literal('Empty') }),
    ]),
    encryption: z
      .strictObject({ type: z.string().optional(), diskEncryptionSetId: z.string().optional() })
      .optional(),
    securityProfile: z.strictObject({ securityType: z.literal('TrustedLaunch') }).optional(),
    networkAccessPolicy: z.enum(['AllowAll', 'AllowPrivate', 'DenyAll']).optional(),
    publicNetworkAccess: z.enum(['Enabled', 'Disabled']).optional(),
    supportedCapabilities: z.strictObject({ architecture: z.literal('x64').optional() }).optional(),
  }),
});

const updateSchema = z.strictObject({ tags: tagsSchema });

export async function createDisk(desk: AzureDesk, call: ArmCall): Promise<HttpAnswer> {
  const wanted = readBody(diskSchema, call);
  const existing = findById(desk.store.read().disks, call.id);
  if (existing !== undefined) return replaceDisk({ desk, call, existing, wanted });
  const name = parameterOf(call, 'name');
  if (!NAME.test(name)) {
    throw invalidParameter('disk.name', `The value '${name}' of parameter disk.name is invalid.`);
  }
  const disk = planDisk({ desk, call, name, wanted });
  checkDiskRequest(desk, disk);
  checkEncryption(desk, disk);
  if (disk.uploadSizeBytes !== null) await desk.pages.create(disk.uniqueId, disk.uploadSizeBytes);
  const other = await desk.store.update((state) => {
    const first = findById(state.disks, disk.id);
    if (first === undefined) state.disks[keyOf(disk.id)] = disk;
    return first;
  });
  // Two asked for it at once.
  if (other !== undefined) {
    if (disk.uploadSizeBytes !== null) await desk.pages.remove(disk.uniqueId);
    return replaceDisk({ desk, call, existing: other, wanted });
  }
  const body = describeDisk(desk, disk, 'Updating');
  return desk.operations.accept({ call, kind: 'disk', status: 202, body, work: async () => null });
}

export function getDisk(desk: AzureDesk, call: ArmCall): HttpAnswer {
  return answerArmJson(200, describeDisk(desk, requireDisk(desk, call)));
}

export function listDisks(desk: AzureDesk, call: ArmCall): HttpAnswer {
  const value = listInGroup(Object.values(desk.store.read().disks), call).map((disk) =>
    describeDisk(desk, disk),
  );
  return answerArmJson(200, { value });
}

export async function updateDisk(desk: AzureDesk, call: ArmCall): Promise<HttpAnswer> {
  const { id } = requireDisk(desk, call);
  const { tags } = readBody(updateSchema, call);
  return retag({ desk, call, id, tags });
}

/** A disk that is not there is deleted already: 204. */
export async function deleteDisk(desk: AzureDesk, call: ArmCall): Promise<HttpAnswer> {
  const disk = findById(desk.store.read().disks, call.id);
  if (disk === undefined) return { status: 204, headers: {}, body: { kind: 'empty' } };
  if (disk.managedBy !== null) throw notAllowed(`Disk ${disk.name} is attached to VM ${disk.managedBy}.`);
  if (hasAccess(disk, desk.now())) {
    throw notAllowed(
      `There is an active shared access signature outstanding for disk ${disk.name}. Call EndGetAccess before deleting the disk. To learn more, see: aka.ms/revokeaccessapi.`,
    );
  }
  await forgetDisk(desk, disk);
  return desk.operations.accept({ call, kind: 'disk', status: 202, work: async () => null });
}

/** The record first: what a kill leaves without one is swept at the next start. */
export async function forgetDisk({ store, files, pages }: AzureCloud, disk: ManagedDisk): Promise<void> {
  await store.update((state) => {
    delete state.disks[keyOf(disk.id)];
  });
  for (const file of [files.disk(disk.uniqueId), files.overlay(disk.uniqueId)])
    await rm(file, { force: true });
  const isShown = Object.values(store.read().snapshots ?? {}).some(({ blobId }) => blobId === disk.uniqueId);
  if (disk.uploadSizeBytes !== null && !isShown) await pages.remove(disk.uniqueId);
}

export function requireDisk({ store }: AzureCloud, { parameters, id }: ArmCall): ManagedDisk {
  const disk = findById(store.read().disks, id);
  if (disk !== undefined) return disk;
  throw resourceNotFound(`Microsoft.Compute/disks/${parameters.name}`, parameters.group ?? '');
}

export function hasAccess({ accesses }: Pick<ManagedDisk, 'accesses'>, now: number): boolean {
  return accesses.some(({ expiresAt }) => expiresAt > now);
}

export function stateOf({ store, now }: AzureCloud, disk: ManagedDisk): string {
  if (disk.phase !== 'Ready') return disk.phase;
  if (disk.managedBy !== null) {
    return findById(store.read().machines, disk.managedBy)?.power === 'deallocated' ? 'Reserved' : 'Attached';
  }
  return hasAccess(disk, now()) ? 'ActiveSAS' : 'Unattached';
}

export function listInGroup<T extends { resourceGroup: string }>(members: readonly T[], call: ArmCall): T[] {
  const group = call.parameters.group?.toLowerCase();
  return members.filter(({ resourceGroup }) => group === undefined || resourceGroup.toLowerCase() === group);
}

function planDisk({
  desk,
  call,
  name,
  wanted: { location, tags = {}, zones = [], sku, properties },
}: {
  desk: AzureDesk;
  call: ArmCall;
  name: string;
  wanted: z.output<typeof diskSchema>;
}): ManagedDisk {
  const { creationData, diskSizeGB, encryption } = properties;
  const isUpload = creationData.createOption === 'Upload';
  if (isUpload) checkUploadSize(creationData.uploadSizeBytes);
  if (isUpload && diskSizeGB !== undefined) {
    throw invalidParameter(
      'disk.diskSizeGB',
      "The property 'diskSizeGB' must not be set with createOption 'Upload'.",
    );
  }
  if (!isUpload && diskSizeGB === undefined) {
    throw invalidParameter('disk.diskSizeGB', "Required parameter 'disk.diskSizeGB' is missing (null).");
  }
  return {
    id: call.id,
    name,
    resourceGroup: parameterOf(call, 'group'),
    location,
    tags,
    zones,
    sku: sku?.name ?? 'Standard_LRS',
    osType: properties.osType ?? null,
    generation: properties.hyperVGeneration ?? (properties.osType === undefined ? null : 'V1'),
    uploadSizeBytes: isUpload ? creationData.uploadSizeBytes : null,
    diskSizeBytes: isUpload ? creationData.uploadSizeBytes - FOOTER_BYTES : (diskSizeGB ?? 0) * GIB,
    encryption: {
      type: encryption?.type ?? 'EncryptionAtRestWithPlatformKey',
      ...(encryption?.diskEncryptionSetId && { diskEncryptionSetId: encryption.diskEncryptionSetId }),
    },
    securityType: properties.securityProfile?.securityType ?? null,
    networkAccessPolicy: properties.networkAccessPolicy ?? 'AllowAll',
    publicNetworkAccess: properties.publicNetworkAccess ?? 'Enabled',
    uniqueId: randomUUID().replaceAll('-', ''),
    createdAt: desk.now(),
    phase: isUpload ? 'ReadyToUpload' : 'Ready',
    managedBy: null,
    accesses: [],
    hasBooted: false,
  };
}

function checkUploadSize(bytes: number): void {
  const target = 'disk.creationData.uploadSizeBytes';
  if (bytes >= MIN_UPLOAD_BYTES && bytes <= MAX_UPLOAD_BYTES && bytes % FOOTER_BYTES === 0) return;
  throw invalidParameter(
    target,
    `The value '${bytes}' of parameter '${target}' is out of range. Value must be a multiple of 512 between '${MIN_UPLOAD_BYTES}' and '${MAX_UPLOAD_BYTES}', inclusive.`,
  );
}

/** The same disk again is the one that is there; of another only the tags may differ. */
function replaceDisk({
  desk,
  call,
  existing,
  wanted,
}: {
  desk: AzureDesk;
  call: ArmCall;
  existing: ManagedDisk;
  wanted: z.output<typeof diskSchema>;
}): Promise<HttpAnswer> {
  const planned = planDisk({ desk, call, name: existing.name, wanted });
  const fixed = {
    location: 'location',
    sku: 'sku.name',
    osType: 'osType',
    generation: 'hyperVGeneration',
    uploadSizeBytes: 'creationData.uploadSizeBytes',
    diskSizeBytes: 'diskSizeGB',
  } as const;
  for (const [member, property] of Object.entries(fixed) as [keyof typeof fixed, string][]) {
    if (planned[member] !== existing[member]) throw propertyChange(property);
  }
  return retag({ desk, call, id: existing.id, tags: wanted.tags ?? existing.tags });
}

async function retag({
  desk,
  call,
  id,
  tags,
}: {
  desk: AzureDesk;
  call: ArmCall;
  id: string;
  tags: ManagedDisk['tags'];
}): Promise<HttpAnswer> {
  await desk.store.update((state) => {
    const disk = findById(state.disks, id);
    if (disk !== undefined) disk.tags = tags;
  });
  const body = describeDisk(desk, requireDisk(desk, call), 'Updating');
  return desk.operations.accept({
    call,
    kind: 'disk',
    status: 202,
    body,
    work: async () => describeDisk(desk, requireDisk(desk, call)),
  });
}

function describeDisk(cloud: AzureCloud, disk: ManagedDisk, provisioningState = 'Succeeded'): JsonObject {
  const { uploadSizeBytes, osType, generation, zones, managedBy, securityType } = disk;
  return {
    id: disk.id,
    name: disk.name,
    type: 'Microsoft.Compute/disks',
    location: disk.location,
    tags: disk.tags as JsonObject,
    sku: { name: disk.sku, tier: disk.sku.split('_')[0] ?? '' },
    ...(zones.length === 0 ? {} : { zones: [...zones] }),
    ...(managedBy === null ? {} : { managedBy }),
    properties: {
      ...(osType === null ? {} : { osType }),
      ...(generation === null ? {} : { hyperVGeneration: generation }),
      creationData:
        uploadSizeBytes === null ? { createOption: 'Empty' } : { createOption: 'Upload', uploadSizeBytes },
      diskSizeGB: Math.ceil(disk.diskSizeBytes / GIB),
      diskSizeBytes: disk.diskSizeBytes,
      diskState: stateOf(cloud, disk),
      encryption: disk.encryption as JsonObject,
      networkAccessPolicy: disk.networkAccessPolicy,
      publicNetworkAccess: disk.publicNetworkAccess,
      ...(securityType === null ? {} : { securityProfile: { securityType } }),
      timeCreated: new Date(disk.createdAt).toISOString(),
      provisioningState,
      uniqueId: disk.uniqueId,
    },
  };
}
