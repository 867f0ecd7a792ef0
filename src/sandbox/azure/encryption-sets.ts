/**
 * Disk encryption sets: there from the start, and only read.
 * https://learn.microsoft.com/rest/api/compute/disk-encryption-sets/get
 */
import type { HttpAnswer } from '../http.ts';
import { type ArmCall, answerArmJson, parameterOf } from './arm-call.ts';
import type { AzureDesk } from './cloud.ts';
import { refuse, resourceNotFound } from './refusals.ts';
import { findById } from './resource-id.ts';
import type { ManagedDisk } from './state.ts';

export function getEncryptionSet({ store }: AzureDesk, call: ArmCall): HttpAnswer {
  const set = findById(store.read().encryptionSets ?? {}, call.id);
  if (set === undefined) {
    const resource = `Microsoft.Compute/diskEncryptionSets/${parameterOf(call, 'name')}`;
    throw resourceNotFound(resource, parameterOf(call, 'group'));
  }
  const { id, name, location, tags } = set;
  return answerArmJson(200, {
    id,
    name,
    type: 'Microsoft.Compute/diskEncryptionSets',
    location,
    tags: { ...tags },
    properties: { encryptionType: 'EncryptionAtRestWithCustomerKey', provisioningState: 'Succeeded' },
  });
}

/** Throws a Refusal where the disk's encryption set is not there, elsewhere, or not to be read. */
export function checkEncryption(
  { store, rights }: AzureDesk,
  { id, name, location, encryption }: ManagedDisk,
): void {
  const { diskEncryptionSetId } = encryption;
  if (diskEncryptionSetId === undefined) return;
  rights.requireLinked({
    action: 'Microsoft.Compute/disks/write',
    scope: id,
    linked: 'Microsoft.Compute/diskEncryptionSets/read',
    linkedScope: diskEncryptionSetId,
  });
  const set = findById(store.read().encryptionSets ?? {}, diskEncryptionSetId);
  if (set?.location === location) return;
  throw refuse(
    404,
    'NotFound',
    `The disk encryption set ${diskEncryptionSetId} of disk ${name} is not found in location ${location}.`,
  );
}
