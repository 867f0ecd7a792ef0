/**
 * Access to a managed disk's bytes, given and taken. Taking it from a disk under upload finalises the disk: its footer
 * must be that of a fixed VHD of the size that it was made for.
 * https://learn.microsoft.com/rest/api/compute/disks/grant-access
 */
import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import type { HttpAnswer } from '../http.ts';
import { type ArmCall, readBody } from './arm-call.ts';
import type { AzureDesk } from './cloud.ts';
import { requireDisk, stateOf } from './disks.ts';
import { accessUrl } from './page-blobs.ts';
import { invalidParameter, notAllowed } from './refusals.ts';
import { findById } from './resource-id.ts';
import type { DiskAccess, ManagedDisk } from './state.ts';
import { FOOTER_BYTES, judgeFooter } from './vhd-check.ts';

const grantSchema = z.strictObject({
  access: z.enum(['Read', 'Write']),
  durationInSeconds: z.int(),
});

/** A new signature each time; those given before stay valid until they expire. */
export async function beginGetAccess(desk: AzureDesk, call: ArmCall): Promise<HttpAnswer> {
  const disk = requireDisk(desk, call);
  const { access: level, durationInSeconds } = readBody(grantSchema, call);
  if (durationInSeconds < 1) {
    throw invalidParameter(
      'durationInSeconds',
      `The value '${durationInSeconds}' of parameter 'durationInSeconds' is out of range.`,
    );
  }
  checkGrant(desk, disk, level);
  const expiresAt = desk.now() + durationInSeconds * 1000;
  const access: DiskAccess = { policyId: randomUUID(), level, expiresAt };
  await desk.store.update((state) => {
    const current = findById(state.disks, disk.id);
    if (current === undefined) return;
    current.accesses = [...current.accesses.filter((other) => other.expiresAt > desk.now()), access];
    if (level === 'Write') current.phase = 'ActiveUpload';
  });
  const accessSAS = accessUrl(desk, disk, access.policyId);
  return desk.operations.accept({ call, kind: 'disk', status: 202, work: async () => ({ accessSAS }) });
}

export async function endGetAccess(desk: AzureDesk, call: ArmCall): Promise<HttpAnswer> {
  const { id } = requireDisk(desk, call);
  await desk.store.update((state) => {
    const disk = findById(state.disks, id);
    if (disk !== undefined) disk.accesses = [];
  });
  return desk.operations.accept({
    call,
    kind: 'disk',
    status: 202,
    work: (signal) => finalise(desk, id, signal),
  });
}

function checkGrant(desk: AzureDesk, disk: ManagedDisk, level: DiskAccess['level']): void {
  const state = stateOf(desk, disk);
  const isUpload = state === 'ReadyToUpload' || state === 'ActiveUpload';
  if (level === 'Write') {
    if (!isUpload) {
      throw notAllowed(
        `Disk ${disk.name} is in state ${state}. Write access can be given to disks in state ReadyToUpload or ActiveUpload only.`,
      );
    }
    return;
  }
  if (isUpload) {
    throw notAllowed(
      `Disk ${disk.name} is in state ${state}. Read access cannot be given before its upload has ended.`,
    );
  }
  if (state === 'Attached') {
    throw notAllowed(
      `Disk ${disk.name} is attached to running VM ${disk.managedBy}. Stop-deallocate the VM first.`,
    );
  }
  if (disk.hasBooted || disk.uploadSizeBytes === null) {
    throw notAllowed(
      `The sandbox reads disks back as they were uploaded, and disk ${disk.name} was written to by a VM.`,
    );
  }
}

/** The signatures are gone whatever becomes of this: a disk without footer stays ActiveUpload, and can be written again. */
async function finalise(desk: AzureDesk, id: string, signal: AbortSignal): Promise<null> {
  const disk = findById(desk.store.read().disks, id);
  if (disk?.phase !== 'ActiveUpload' || disk.uploadSizeBytes === null) return null;
  const { uploadSizeBytes, uniqueId, name } = disk;
  const place = { offsetBytes: uploadSizeBytes - FOOTER_BYTES, lengthBytes: FOOTER_BYTES };
  const footer = await desk.pages.read(uniqueId, place, signal);
  const refusal = judgeFooter({ diskName: name, footer, uploadSizeBytes });
  if (refusal !== null) throw refusal;
  await desk.store.update((state) => {
    const current = findById(state.disks, id);
    if (current?.phase === 'ActiveUpload' && current.accesses.length === 0) current.phase = 'Ready';
  });
  return null;
}
