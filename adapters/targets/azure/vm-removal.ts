/**
 * Removes virtual machines and their network interfaces. Each is looked at first: what is gone already is done, and what
 * does not carry the run's tag is somebody else's and is refused.
 */
import type { LedgerEntry } from '../../../src/domain/ports.ts';
import type { Azure } from './clients.ts';
import { askIfFound } from './errors.ts';
import { findMachine, machineCall } from './machine-lookup.ts';
import { quarantineName, TOKEN_TAG, tagValue } from './names.ts';
import { findInterface, interfaceCall, interfaceName } from './network-interface.ts';
import { awaitOperation } from './operation.ts';
import { closeQuarantine } from './quarantine.ts';
import { checkRun, type Removal } from './removal.ts';

/** Its disks and its interface stay. Ended without a shutdown of the guest: nobody needs what it still holds in memory. */
export async function removeMachine(azure: Azure, name: string, { run, signal }: Removal): Promise<void> {
  const machine = await findMachine(azure, name, signal);
  if (machine === null) return;
  checkRun(machine.tags, { run, thing: `virtual machine ${name}` });
  const call = machineCall(azure, { doing: 'Removing a virtual machine', action: 'delete', name });
  const options = { ...azure.polling, forceDeletion: true, abortSignal: signal };
  await askIfFound(call, () =>
    awaitOperation(
      azure.compute.virtualMachines.delete(azure.options.resourceGroup, name, options),
      signal,
    ).then(() => true),
  );
}

export async function removeInterface(azure: Azure, name: string, { run, signal }: Removal): Promise<void> {
  const nic = await findInterface(azure, name, signal);
  if (nic === null) return;
  checkRun(nic.tags, { run, thing: `network interface ${name}` });
  const call = interfaceCall(azure, { doing: 'Removing a network interface', action: 'delete', name });
  const options = { ...azure.polling, abortSignal: signal };
  await askIfFound(call, () =>
    awaitOperation(
      azure.network.networkInterfaces.delete(azure.options.resourceGroup, name, options),
      signal,
    ).then(() => true),
  );
}

/**
 * Its name was noted before it was made. One that carries another token was made since, in this one's place; the one that
 * was noted itself and lost its tags is refused like anything without them.
 */
export async function discardMachine(azure: Azure, entry: LedgerEntry, { signal }: Removal): Promise<void> {
  const name = entry.ref?.virtualMachine;
  if (typeof name !== 'string') return;
  const machine = await findMachine(azure, name, signal);
  const isOurs = tagValue(machine?.tags, TOKEN_TAG) === entry.token;
  if (!isOurs && (machine?.vmId === undefined || machine.vmId !== entry.ref?.vmId)) return;
  await removeMachine(azure, name, { run: entry.run, signal });
}

export function discardInterface(azure: Azure, entry: LedgerEntry, { signal }: Removal): Promise<void> {
  return removeInterface(azure, interfaceName(entry), { run: entry.run, signal });
}

/** While another machine of the run is in it, it stays: the last one removes it. */
export async function discardQuarantine(
  azure: Azure,
  entry: LedgerEntry,
  { signal }: Removal,
): Promise<void> {
  // An attempt that was killed right after it made the group noted no name.
  const name = entry.ref?.groupId ?? quarantineName(entry.run);
  if (typeof name === 'string') await closeQuarantine(azure, name, { run: entry.run, signal });
}
