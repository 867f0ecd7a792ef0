/**
 * The virtual machine, made once from the disks that were uploaded.
 *
 *   intended ──► named ──► Creating ──► Succeeded ──► done
 *      │           │           └──► Failed (no capacity, over quota): removed, failed, with Azure's reason
 *      │           └── there is one of that name that is not ours: refused
 *      │           └── gone before it was made: failed, as Azure removes some that it cannot make
 *      └── somebody deleted it: discarded, and once more under a new token
 *
 * It is named as the operator calls the machine, so its tag tells whether it is ours. Disks and the network interface
 * outlive it: whoever deletes it by hand does not lose what was moved.
 * https://learn.microsoft.com/rest/api/compute/virtual-machines/create-or-update
 */
import type { VirtualMachine } from '@azure/arm-compute';
import { LandfallError } from '../../../src/domain/errors.ts';
import { bootDisk, isWindows, type Machine } from '../../../src/domain/machine.ts';
import type { LedgerEntry, StepContext, StepOutcome } from '../../../src/domain/ports.ts';
import type { Azure } from './clients.ts';
import { ask, askIfFound } from './errors.ts';
import { findMachine, machineCall } from './machine-lookup.ts';
import { TOKEN_TAG, tagsFor, tagValue, vmName } from './names.ts';
import type { AzureMachineOptions } from './options.ts';
import { trustedLaunchOf } from './trusted-launch.ts';
import { removeMachine } from './vm-removal.ts';
import { sizeFor } from './vm-size.ts';

export type MachineStart = {
  machine: Machine;
  to: AzureMachineOptions;
  /** Ids by disk id. */
  disks: Readonly<Record<string, string>>;
  /** Id. */
  networkInterface: string;
  context: StepContext;
};

export const MACHINE_THING = 'virtual-machine';

/** Azure may not find at once what it was asked for. */
const SEEN_AFTER_MS = 60_000;
const MIN_POLL_MS = 1_000;
const MAX_POLL_MS = 15_000;
/** Kept when the machine is deleted. */
const KEPT = { deleteOption: 'Detach' } as const;

/** The virtual machine, once Azure made it. */
export async function startMachine(azure: Azure, start: MachineStart): Promise<StepOutcome<VirtualMachine>> {
  const { context } = start;
  const entry = await noteName(start, await context.ledger.intend(MACHINE_THING));
  const name = nameOf(entry);
  const found = await findMachine(azure, name, context.signal);
  if (found !== null) return watchMachine(azure, { start, entry, found });
  if (entry.state === 'done') {
    context.log('warn', `The virtual machine ${name} was deleted by somebody: another one is made.`);
    await context.ledger.settle(entry, 'discarded');
    return startMachine(azure, start);
  }
  if (entry.ref?.vmId !== undefined) return vanished({ start, entry });
  if (entry.ref?.requestedAt !== undefined) {
    const sinceMs = (await context.clock.now()) - Number(entry.ref.requestedAt);
    if (sinceMs > SEEN_AFTER_MS) return vanished({ start, entry });
    return { kind: 'wait', afterMs: MIN_POLL_MS, note: 'virtual machine requested' };
  }
  await requestMachine(azure, { start, entry });
  // Only what was accepted: a refusal is told as it is, and asked for again.
  await context.ledger.settle(entry, 'intended', { requestedAt: await context.clock.now() });
  return { kind: 'wait', afterMs: MIN_POLL_MS, note: 'virtual machine requested' };
}

/** Before anything is made: the wave may be edited between two tries, and the first one's machine must be found. */
async function noteName({ machine, to, context }: MachineStart, entry: LedgerEntry): Promise<LedgerEntry> {
  if (entry.ref?.virtualMachine !== undefined) return entry;
  const name = machineName(machine, to);
  return context.ledger.settle(entry, 'intended', { virtualMachine: name });
}

export function machineName(machine: Machine, { name }: Pick<AzureMachineOptions, 'name'>): string {
  return vmName({ name: name ?? machine.name, isWindows: isWindows(machine) });
}

function nameOf({ ref }: LedgerEntry): string {
  return String(ref?.virtualMachine);
}

/** Asked for, not waited for: a machine takes minutes, and the worker has other work. */
async function requestMachine(
  azure: Azure,
  { start, entry }: { start: MachineStart; entry: LedgerEntry },
): Promise<void> {
  const { machine, context } = start;
  const name = nameOf(entry);
  const call = machineCall(azure, { doing: `Starting ${machine.name}`, action: 'write', name });
  const parameters = describeMachine(azure, { start, entry });
  await ask(call, () =>
    azure.compute.virtualMachines
      // What somebody makes under this name in the same moment is not overwritten.
      .createOrUpdate(azure.options.resourceGroup, name, parameters, {
        ...azure.polling,
        ifNoneMatch: '*',
        abortSignal: context.signal,
      })
      .submitted(),
  );
}

function describeMachine(
  { options }: Azure,
  { start: { machine, to, disks, networkInterface }, entry }: { start: MachineStart; entry: LedgerEntry },
): VirtualMachine {
  const size = to.size ?? sizeFor(machine)?.name;
  if (size === undefined) throw tooLarge(machine.name);
  const boot = bootDisk(machine);
  const attach = (disk: string) => ({
    createOption: 'Attach' as const,
    managedDisk: { id: disks[disk] as string },
    ...KEPT,
  });
  const trustedLaunch = trustedLaunchOf(machine, to);
  return {
    location: options.location,
    tags: tagsFor({ entry, extra: to.tags }),
    ...(to.zone === undefined ? {} : { zones: [to.zone] }),
    hardwareProfile: { vmSize: size },
    storageProfile: {
      osDisk: { ...attach(boot.id), osType: isWindows(machine) ? 'Windows' : 'Linux' },
      dataDisks: machine.disks
        .filter(({ id }) => id !== boot.id)
        .map(({ id }, lun) => ({ ...attach(id), lun })),
    },
    networkProfile: { networkInterfaces: [{ id: networkInterface, primary: true, ...KEPT }] },
    // Without a storage account of its own: Azure keeps console and screen.
    diagnosticsProfile: { bootDiagnostics: { enabled: true } },
    ...(trustedLaunch === null
      ? {}
      : {
          securityProfile: {
            securityType: 'TrustedLaunch',
            uefiSettings: { secureBootEnabled: trustedLaunch.secureBoot, vTpmEnabled: trustedLaunch.vtpm },
          },
        }),
  };
}

async function watchMachine(
  azure: Azure,
  { start, entry, found }: { start: MachineStart; entry: LedgerEntry; found: VirtualMachine },
): Promise<StepOutcome<VirtualMachine>> {
  const { context } = start;
  if (tagValue(found.tags, TOKEN_TAG) !== entry.token) throw nameTaken(azure, nameOf(entry));
  const { vmId = '', provisioningState = '' } = found;
  const noted = entry.ref?.vmId === vmId ? entry : await context.ledger.settle(entry, entry.state, { vmId });
  const wait = async (note: string): Promise<StepOutcome<VirtualMachine>> => ({
    kind: 'wait',
    afterMs: await pollDelayMs(noted, context),
    note,
  });
  switch (provisioningState) {
    case 'Succeeded':
      if (noted.state !== 'done') await context.ledger.settle(noted, 'done');
      return { kind: 'done', value: found };
    case 'Deleting':
      // It holds its disks and its interface until it is gone.
      return wait('an earlier virtual machine is deleted');
    case 'Failed':
      // Of one that ran before: an extension that somebody put in, say. Whether it works is for validate to see.
      if (noted.state === 'done') return { kind: 'done', value: found };
      return giveUp(azure, { start, entry: noted });
    default:
      return wait(`virtual machine ${provisioningState.toLowerCase()}`);
  }
}

/** Azure leaves what it could not start, which would hold the disks. */
async function giveUp(
  azure: Azure,
  { start: { machine, context }, entry }: { start: MachineStart; entry: LedgerEntry },
): Promise<never> {
  const name = nameOf(entry);
  const reason = await failureOf(azure, name, context.signal);
  await removeMachine(azure, name, { run: context.run, signal: context.signal });
  await context.ledger.settle(entry, 'failed', { reason: reason.text });
  throw new LandfallError({
    code: /quota/i.test(reason.text) ? 'target-limit' : 'import-failed',
    retryable: true,
    message: `Azure could not start the virtual machine ${name} of ${machine.name}: ${reason.text} Choose another \`size\`, \`zone\` or location where it has no capacity; raise the quota where it is one. The disks are kept.`,
    context: { virtualMachine: name, reason: reason.code, vmId: String(entry.ref?.vmId) },
  });
}

/** Its operation failed and left nothing, or somebody deleted it: another is made, as one more try. */
async function vanished({ start, entry }: { start: MachineStart; entry: LedgerEntry }): Promise<never> {
  const { machine, context } = start;
  const name = nameOf(entry);
  const reason = 'it was accepted and is gone before it was made';
  await context.ledger.settle(entry, 'failed', { reason });
  throw new LandfallError({
    code: 'import-failed',
    retryable: true,
    message: `Azure could not start the virtual machine ${name} of ${machine.name}: ${reason}. The activity log of the resource group says why, or who deleted it. The disks are kept.`,
    context: { virtualMachine: name },
  });
}

async function failureOf(
  azure: Azure,
  name: string,
  signal: AbortSignal,
): Promise<{ code: string; text: string }> {
  const call = machineCall(azure, {
    doing: 'Looking for what failed',
    action: 'instanceView/read',
    name,
  });
  const view = await askIfFound(call, () =>
    azure.compute.virtualMachines.instanceView(azure.options.resourceGroup, name, { abortSignal: signal }),
  );
  const failure = view?.statuses?.find(({ code = '' }) => code.startsWith('ProvisioningState/failed'));
  const { code = '', message, displayStatus } = failure ?? {};
  const text = message ?? displayStatus ?? 'it does not say why';
  return { code, text: /[.!?]$/.test(text) ? text : `${text}.` };
}

/** A tenth of the time it took so far. */
async function pollDelayMs({ at }: LedgerEntry, { clock }: StepContext): Promise<number> {
  const elapsedMs = (await clock.now()) - at;
  return Math.min(MAX_POLL_MS, Math.max(MIN_POLL_MS, elapsedMs / 10));
}

function tooLarge(machine: string): LandfallError {
  return new LandfallError({
    code: 'target-refused',
    message: `No common size has the cpus and the memory of ${machine} and takes its disks. Name one as \`size\` under \`to:\`.`,
  });
}

function nameTaken({ options }: Azure, name: string): LandfallError {
  return new LandfallError({
    code: 'target-refused',
    message: `There is a virtual machine ${name} in ${options.resourceGroup} already, which this run did not make. Landfall leaves it as it is: remove it, or give this machine another \`name\` under \`to:\`, then retry.`,
  });
}
