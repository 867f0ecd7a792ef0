/** Managed disks and virtual machines, and the operations on them. */
import { retrieveDiagnostics } from './boot-diagnostics.ts';
import { beginGetAccess, endGetAccess } from './disk-access.ts';
import { createDisk, deleteDisk, getDisk, listDisks, updateDisk } from './disks.ts';
import { getEncryptionSet } from './encryption-sets.ts';
import { COMPUTE, COMPUTE_LOCATION, GROUP, pollOperation, type Route, SUBSCRIPTION } from './route.ts';
import {
  beginSnapshotAccess,
  createSnapshot,
  deleteSnapshot,
  endSnapshotAccess,
  getSnapshot,
  listSnapshots,
} from './snapshots.ts';
import {
  deallocateMachine,
  deleteMachine,
  getInstanceView,
  getMachine,
  listMachines,
  powerOffMachine,
  putMachine,
  restartMachine,
  startMachine,
  updateMachine,
} from './virtual-machines.ts';

const DISK = `${GROUP}/${COMPUTE}/disks/{name}`;
const SNAPSHOT = `${GROUP}/${COMPUTE}/snapshots/{name}`;
const MACHINE = `${GROUP}/${COMPUTE}/virtualMachines/{name}`;

const disks = (right: string): string => `Microsoft.Compute/disks/${right}`;
const snapshots = (right: string): string => `Microsoft.Compute/snapshots/${right}`;
const machines = (right: string): string => `Microsoft.Compute/virtualMachines/${right}`;
const monitor = ['monitor'];

export const COMPUTE_ROUTES: readonly Route[] = [
  {
    method: 'GET',
    path: `${COMPUTE_LOCATION}/DiskOperations/{operation}`,
    action: 'Disks_PollOperation',
    right: 'Microsoft.Compute/locations/DiskOperations/read',
    query: monitor,
    answer: pollOperation,
  },
  {
    method: 'GET',
    path: `${COMPUTE_LOCATION}/operations/{operation}`,
    action: 'VirtualMachines_PollOperation',
    right: 'Microsoft.Compute/locations/operations/read',
    query: monitor,
    answer: pollOperation,
  },
  { method: 'PUT', path: DISK, action: 'Disks_CreateOrUpdate', right: disks('write'), answer: createDisk },
  { method: 'GET', path: DISK, action: 'Disks_Get', right: disks('read'), answer: getDisk },
  { method: 'PATCH', path: DISK, action: 'Disks_Update', right: disks('write'), answer: updateDisk },
  { method: 'DELETE', path: DISK, action: 'Disks_Delete', right: disks('delete'), answer: deleteDisk },
  {
    method: 'POST',
    path: DISK,
    verb: 'beginGetAccess',
    action: 'Disks_GrantAccess',
    right: disks('beginGetAccess/action'),
    answer: beginGetAccess,
  },
  {
    method: 'POST',
    path: DISK,
    verb: 'endGetAccess',
    action: 'Disks_RevokeAccess',
    right: disks('endGetAccess/action'),
    answer: endGetAccess,
  },
  {
    method: 'GET',
    path: `${GROUP}/${COMPUTE}/disks`,
    action: 'Disks_ListByResourceGroup',
    right: disks('read'),
    answer: listDisks,
  },
  {
    method: 'GET',
    path: `${SUBSCRIPTION}/${COMPUTE}/disks`,
    action: 'Disks_List',
    right: disks('read'),
    answer: listDisks,
  },
  {
    method: 'PUT',
    path: SNAPSHOT,
    action: 'Snapshots_CreateOrUpdate',
    right: snapshots('write'),
    answer: createSnapshot,
  },
  {
    method: 'GET',
    path: SNAPSHOT,
    action: 'Snapshots_Get',
    right: snapshots('read'),
    answer: getSnapshot,
  },
  {
    method: 'DELETE',
    path: SNAPSHOT,
    action: 'Snapshots_Delete',
    right: snapshots('delete'),
    answer: deleteSnapshot,
  },
  {
    method: 'POST',
    path: SNAPSHOT,
    verb: 'beginGetAccess',
    action: 'Snapshots_GrantAccess',
    right: snapshots('beginGetAccess/action'),
    answer: beginSnapshotAccess,
  },
  {
    method: 'POST',
    path: SNAPSHOT,
    verb: 'endGetAccess',
    action: 'Snapshots_RevokeAccess',
    right: snapshots('endGetAccess/action'),
    answer: endSnapshotAccess,
  },
  {
    method: 'GET',
    path: `${GROUP}/${COMPUTE}/snapshots`,
    action: 'Snapshots_ListByResourceGroup',
    right: snapshots('read'),
    answer: listSnapshots,
  },
  {
    method: 'GET',
    path: `${GROUP}/${COMPUTE}/diskEncryptionSets/{name}`,
    action: 'DiskEncryptionSets_Get',
    right: 'Microsoft.Compute/diskEncryptionSets/read',
    answer: getEncryptionSet,
  },
  {
    method: 'PUT',
    path: MACHINE,
    action: 'VirtualMachines_CreateOrUpdate',
    right: machines('write'),
    answer: putMachine,
  },
  {
    method: 'GET',
    path: MACHINE,
    action: 'VirtualMachines_Get',
    right: machines('read'),
    query: ['$expand'],
    answer: getMachine,
  },
  {
    method: 'PATCH',
    path: MACHINE,
    action: 'VirtualMachines_Update',
    right: machines('write'),
    answer: updateMachine,
  },
  {
    method: 'DELETE',
    path: MACHINE,
    action: 'VirtualMachines_Delete',
    right: machines('delete'),
    query: ['forceDeletion'],
    answer: deleteMachine,
  },
  {
    method: 'GET',
    path: MACHINE,
    verb: 'instanceView',
    action: 'VirtualMachines_InstanceView',
    right: machines('instanceView/read'),
    answer: getInstanceView,
  },
  {
    method: 'POST',
    path: MACHINE,
    verb: 'retrieveBootDiagnosticsData',
    action: 'VirtualMachines_RetrieveBootDiagnosticsData',
    right: machines('retrieveBootDiagnosticsData/action'),
    query: ['sasUriExpirationTimeInMinutes'],
    answer: retrieveDiagnostics,
  },
  {
    method: 'POST',
    path: MACHINE,
    verb: 'start',
    action: 'VirtualMachines_Start',
    right: machines('start/action'),
    answer: startMachine,
  },
  {
    method: 'POST',
    path: MACHINE,
    verb: 'restart',
    action: 'VirtualMachines_Restart',
    right: machines('restart/action'),
    answer: restartMachine,
  },
  {
    method: 'POST',
    path: MACHINE,
    verb: 'powerOff',
    action: 'VirtualMachines_PowerOff',
    right: machines('powerOff/action'),
    query: ['skipShutdown'],
    answer: powerOffMachine,
  },
  {
    method: 'POST',
    path: MACHINE,
    verb: 'deallocate',
    action: 'VirtualMachines_Deallocate',
    right: machines('deallocate/action'),
    query: ['forceDeallocate'],
    answer: deallocateMachine,
  },
  {
    method: 'GET',
    path: `${GROUP}/${COMPUTE}/virtualMachines`,
    action: 'VirtualMachines_List',
    right: machines('read'),
    answer: listMachines,
  },
  {
    method: 'GET',
    path: `${SUBSCRIPTION}/${COMPUTE}/virtualMachines`,
    action: 'VirtualMachines_ListAll',
    right: machines('read'),
    answer: listMachines,
  },
];
