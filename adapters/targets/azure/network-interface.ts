/**
 * The network interface of a machine: the private address in its final subnet, under the quarantine group. It is a thing
 * of its own, so that the address stays the machine's, whatever becomes of the virtual machine.
 * https://learn.microsoft.com/rest/api/virtualnetwork/network-interfaces/create-or-update
 */
import type { NetworkInterface } from '@azure/arm-network';
import { LandfallError } from '../../../src/domain/errors.ts';
import type { LedgerEntry, StepContext } from '../../../src/domain/ports.ts';
import type { Azure } from './clients.ts';
import { type AzureCall, ask, askIfFound, azureCodeOf } from './errors.ts';
import { labelOf, resourceName, TOKEN_TAG, tagsFor, tagValue } from './names.ts';
import { isSameId } from './network-id.ts';
import { awaitOperation } from './operation.ts';
import type { AzureMachineOptions } from './options.ts';

export type InterfaceStart = {
  /** Ids. */
  subnet: string;
  quarantineGroup: string;
  to: AzureMachineOptions;
  context: StepContext;
};

export const INTERFACE_THING = 'network-interface';

export async function openInterface(azure: Azure, start: InterfaceStart): Promise<NetworkInterface> {
  const { context } = start;
  const entry = await context.ledger.intend(INTERFACE_THING);
  const name = interfaceName(entry);
  const found = await findInterface(azure, name, context.signal);
  if (found === null && entry.state === 'done') {
    context.log(
      'warn',
      `The network interface of ${context.machine} was removed by somebody: it is made again.`,
    );
    await context.ledger.settle(entry, 'discarded');
    return openInterface(azure, start);
  }
  if (found !== null && tagValue(found.tags, TOKEN_TAG) !== entry.token) throw foreign(azure, name);
  const isMade = found !== null && found.provisioningState !== 'Failed';
  if (isMade && !isSameId(found.networkSecurityGroup?.id, start.quarantineGroup)) throw moved(azure, found);
  const nic = isMade ? found : await createInterface(azure, { start, entry });
  if (entry.state !== 'done') await context.ledger.settle(entry, 'done', { networkInterface: name });
  return nic;
}

/** Is it under this group, and does Azure say that it is so? Nothing may start at it before. */
export function isHeld(
  { networkSecurityGroup, provisioningState }: NetworkInterface,
  group: string,
): boolean {
  return isSameId(networkSecurityGroup?.id, group) && provisioningState === 'Succeeded';
}

/** What is asked for is what is there but for its group: addresses that somebody added stay, also in this moment. */
export async function moveInterface(
  azure: Azure,
  nic: NetworkInterface,
  { group, doing, context }: { group: string; doing: string; context: StepContext },
): Promise<NetworkInterface> {
  const name = nic.name ?? '';
  const call = interfaceCall(azure, { doing, action: 'write', name });
  const moved = { ...nic, networkSecurityGroup: { id: group } };
  return ask(call, () => put(azure, { name, nic: moved, etag: nic.etag, context }));
}

export function interfaceName(entry: LedgerEntry): string {
  return resourceName(entry, { label: labelOf('nic') });
}

/** null where there is none. */
export async function findInterface(
  azure: Azure,
  name: string,
  signal: AbortSignal,
): Promise<NetworkInterface | null> {
  const { resourceGroup } = azure.options;
  const call = interfaceCall(azure, { doing: 'Looking for a network interface', action: 'read', name });
  return askIfFound(call, () =>
    azure.network.networkInterfaces.get(resourceGroup, name, { abortSignal: signal }),
  );
}

export function interfaceCall(
  { options }: Azure,
  { doing, action, name }: { doing: string; action: string; name: string },
): AzureCall {
  return {
    doing,
    action: `Microsoft.Network/networkInterfaces/${action}`,
    resource: `network interface ${name} in ${options.resourceGroup}`,
  };
}

async function createInterface(
  azure: Azure,
  { start, entry }: { start: InterfaceStart; entry: LedgerEntry },
): Promise<NetworkInterface> {
  const { subnet, quarantineGroup, to, context } = start;
  const name = interfaceName(entry);
  const call = interfaceCall(azure, {
    doing: `Giving ${context.machine} an address`,
    action: 'write',
    name,
  });
  const { privateIp } = to;
  const nic: NetworkInterface = {
    location: azure.options.location,
    tags: tagsFor({ entry, extra: to.tags }),
    networkSecurityGroup: { id: quarantineGroup },
    ipConfigurations: [
      {
        name: 'primary',
        primary: true,
        subnet: { id: subnet },
        ...(privateIp === undefined
          ? { privateIPAllocationMethod: 'Dynamic' }
          : { privateIPAllocationMethod: 'Static', privateIPAddress: privateIp }),
      },
    ],
  };
  try {
    return await ask(call, () => put(azure, { name, nic, context }));
  } catch (error) {
    throw asLag(azure, error, quarantineGroup);
  }
}

async function put(
  azure: Azure,
  {
    name,
    nic,
    etag,
    context,
  }: { name: string; nic: NetworkInterface; etag?: string | undefined; context: StepContext },
): Promise<NetworkInterface> {
  const { resourceGroup } = azure.options;
  const options = {
    ...azure.polling,
    abortSignal: context.signal,
    // Refused with 412 where it was changed since it was read.
    ...(etag === undefined ? {} : { requestOptions: { headers: { 'If-Match': etag } } }),
  };
  await awaitOperation(
    azure.network.networkInterfaces.createOrUpdate(resourceGroup, name, nic, options),
    context.signal,
  );
  return azure.network.networkInterfaces.get(resourceGroup, name, { abortSignal: context.signal });
}

/** The run's own quarantine group may go with the last machine admitted in this moment: the next try makes it anew. */
function asLag({ options }: Azure, error: unknown, quarantineGroup: string): unknown {
  const isOurs = options.quarantineGroup === undefined;
  const isUnknown = error instanceof LandfallError && azureCodeOf(error) === 'InvalidResourceReference';
  if (!isOurs || !isUnknown || !error.message.includes(quarantineGroup)) return error;
  return new LandfallError({
    code: 'target-unavailable',
    retryable: true,
    message: `${error.message} The quarantine group was removed in that moment: it is made again.`,
    cause: error,
    context: error.context,
  });
}

/** An unproven machine must not start where it can be reached. */
function moved({ options }: Azure, { name, networkSecurityGroup }: NetworkInterface): LandfallError {
  const group = networkSecurityGroup?.id?.split('/').at(-1) ?? 'no group';
  return new LandfallError({
    code: 'target-refused',
    message: `The network interface ${name} in ${options.resourceGroup} is in ${group} instead of the quarantine: somebody, or a policy, moved it. Move it back, or run \`landfall discard\` for the machine, then retry.`,
  });
}

function foreign({ options }: Azure, name: string): LandfallError {
  return new LandfallError({
    code: 'target-refused',
    message: `The network interface ${name} in ${options.resourceGroup} does not carry the tag ${TOKEN_TAG} of this machine, so it is somebody else's. Rename or remove it, then retry.`,
  });
}
