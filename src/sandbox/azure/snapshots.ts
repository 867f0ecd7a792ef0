/**
 * Snapshots of managed disks: they show the pages of the disk's upload, which machines never write to, and keep them
 * when the disk is deleted. https://learn.microsoft.com/rest/api/compute/snapshots
 */
import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import type { JsonObject } from '../../domain/json.ts';
import type { HttpAnswer } from '../http.ts';
import { type ArmCall, answerArmJson, parameterOf, readBody, tagsSchema } from './arm-call.ts';
import { requireLocation } from './catalogue.ts';
import type { AzureCloud, AzureDesk } from './cloud.ts';
import { hasAccess, listInGroup } from './disks.ts';
import { accessUrl } from './page-blobs.ts';
import { invalidParameter, notAllowed, propertyChange, refuse, resourceNotFound } from './refusals.ts';
import { findById, keyOf } from './resource-id.ts';
import type { DiskAccess, DiskSnapshot, ManagedDisk } from './state.ts';

const GIB = 1024 ** 3;

const snapshotSchema = z.strictObject({
  location: z.string(),
  tags: tagsSchema.optional(),
  sku: z.strictObject({ name: z.string() }).optional(),
  properties: z.strictObject({
    incremental: z.boolean().optional(),
    creationData: z.strictObject({ createOption: z.literal('Copy'), sourceResourceId: z.string() }),
  }),
});

const grantSchema = z.strictObject({ access: z.literal('Read'), durationInSeconds: z.int().positive() });

export async function createSnapshot(desk: AzureDesk, call: ArmCall): Promise<HttpAnswer> {
  const { location, tags = {}, properties } = readBody(snapshotSchema, call);
  requireLocation(location);
  const source = requireSource(desk, properties.creationData.sourceResourceId, location);
  const existing = findById(desk.store.read().snapshots ?? {}, call.id);
  if (existing !== undefined && keyOf(existing.sourceId) !== keyOf(source.id))
    throw propertyChange('creationData.sourceResourceId');
  const snapshot: DiskSnapshot = {
    id: existing?.id ?? call.id,
    name: existing?.name ?? parameterOf(call, 'name'),
    resourceGroup: parameterOf(call, 'group'),
    location,
    tags,
    sourceId: source.id,
    isIncremental: properties.incremental ?? false,
    uniqueId: existing?.uniqueId ?? randomUUID().replaceAll('-', ''),
    blobId: existing?.blobId ?? source.uniqueId,
    diskSizeBytes: source.diskSizeBytes,
    createdAt: existing?.createdAt ?? desk.now(),
    accesses: existing?.accesses ?? [],
  };
  await desk.store.update((state) => {
    state.snapshots = { ...state.snapshots, [keyOf(snapshot.id)]: snapshot };
  });
  const body = describe(desk, snapshot, 'Updating');
  return desk.operations.accept({ call, kind: 'disk', status: 202, body, work: async () => null });
}

export function getSnapshot(desk: AzureDesk, call: ArmCall): HttpAnswer {
  return answerArmJson(200, describe(desk, requireSnapshot(desk, call)));
}

export function listSnapshots(desk: AzureDesk, call: ArmCall): HttpAnswer {
  const all = Object.values(desk.store.read().snapshots ?? {});
  return answerArmJson(200, { value: listInGroup(all, call).map((snapshot) => describe(desk, snapshot)) });
}

export async function deleteSnapshot(desk: AzureDesk, call: ArmCall): Promise<HttpAnswer> {
  const snapshot = findById(desk.store.read().snapshots ?? {}, call.id);
  if (snapshot === undefined) return { status: 204, headers: {}, body: { kind: 'empty' } };
  if (hasAccess(snapshot, desk.now())) {
    throw notAllowed(
      `There is an active shared access signature outstanding for snapshot ${snapshot.name}. Call EndGetAccess before deleting the snapshot.`,
    );
  }
  await desk.store.update((state) => {
    delete state.snapshots?.[keyOf(snapshot.id)];
  });
  if (!isBlobNeeded(desk, snapshot.blobId)) await desk.pages.remove(snapshot.blobId);
  return desk.operations.accept({ call, kind: 'disk', status: 202, work: async () => null });
}

export async function beginSnapshotAccess(desk: AzureDesk, call: ArmCall): Promise<HttpAnswer> {
  const snapshot = requireSnapshot(desk, call);
  const { access: level, durationInSeconds } = readBody(grantSchema, call);
  const access: DiskAccess = {
    policyId: randomUUID(),
    level,
    expiresAt: desk.now() + durationInSeconds * 1000,
  };
  await setAccesses(desk, snapshot, [...snapshot.accesses, access]);
  const accessSAS = accessUrl(desk, snapshot, access.policyId);
  return desk.operations.accept({ call, kind: 'disk', status: 202, work: async () => ({ accessSAS }) });
}

export async function endSnapshotAccess(desk: AzureDesk, call: ArmCall): Promise<HttpAnswer> {
  await setAccesses(desk, requireSnapshot(desk, call), []);
  return desk.operations.accept({ call, kind: 'disk', status: 202, work: async () => null });
}

/** Does a disk or a snapshot show these pages? */
export function isBlobNeeded({ store }: AzureCloud, blobId: string): boolean {
  const { disks, snapshots = {} } = store.read();
  return (
    Object.values(disks).some(({ uniqueId }) => uniqueId === blobId) ||
    Object.values(snapshots).some((snapshot) => snapshot.blobId === blobId)
  );
}

function requireSource({ store }: AzureCloud, id: string, location: string): ManagedDisk {
  const disk = findById(store.read().disks, id);
  if (disk === undefined) throw refuse(404, 'NotFound', `Disk ${id} is not found.`);
  if (disk.location !== location)
    throw invalidParameter('location', `Disk ${disk.name} is in ${disk.location}, not in ${location}.`);
  if (disk.phase !== 'Ready') {
    throw notAllowed(`Disk ${disk.name} is in state ${disk.phase}. End its upload before it is copied.`);
  }
  if (disk.hasBooted || disk.uploadSizeBytes === null) {
    throw notAllowed(
      `The sandbox takes snapshots of disks as they were uploaded, and disk ${disk.name} was written to by a VM.`,
    );
  }
  return disk;
}

function requireSnapshot({ store }: AzureCloud, { parameters, id }: ArmCall): DiskSnapshot {
  const snapshot = findById(store.read().snapshots ?? {}, id);
  if (snapshot !== undefined) return snapshot;
  throw resourceNotFound(`Microsoft.Compute/snapshots/${parameters.name}`, parameters.group ?? '');
}

async function setAccesses(
  desk: AzureDesk,
  { id }: DiskSnapshot,
  accesses: readonly DiskAccess[],
): Promise<void> {
  await desk.store.update((state) => {
    const snapshot = findById(state.snapshots ?? {}, id);
    if (snapshot !== undefined)
      snapshot.accesses = accesses.filter(({ expiresAt }) => expiresAt > desk.now());
  });
}

function describe({ now }: AzureCloud, snapshot: DiskSnapshot, provisioningState = 'Succeeded'): JsonObject {
  const { diskSizeBytes, sourceId } = snapshot;
  return {
    id: snapshot.id,
    name: snapshot.name,
    type: 'Microsoft.Compute/snapshots',
    location: snapshot.location,
    tags: snapshot.tags as JsonObject,
    sku: { name: 'Standard_ZRS', tier: 'Standard' },
    properties: {
      creationData: { createOption: 'Copy', sourceResourceId: sourceId },
      diskSizeGB: Math.ceil(diskSizeBytes / GIB),
      diskSizeBytes,
      diskState: hasAccess(snapshot, now()) ? 'ActiveSAS' : 'Unattached',
      incremental: snapshot.isIncremental,
      completionPercent: 100,
      timeCreated: new Date(snapshot.createdAt).toISOString(),
      provisioningState,
      uniqueId: snapshot.uniqueId,
    },
  };
}
