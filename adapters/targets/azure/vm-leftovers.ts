/** Virtual machines, network interfaces and security groups that carry a run's tag. */
import type { TaggedThing } from '../../../src/domain/ports.ts';
import type { Azure } from './clients.ts';
import { askUnless } from './errors.ts';
import { isOfRun, MACHINE_TAG, type Tags, tagValue } from './names.ts';
import { INTERFACE_THING } from './network-interface.ts';
import type { Removal } from './removal.ts';
import { MACHINE_THING } from './virtual-machine.ts';

export const GROUP_THING = 'security-group';

type Tagged = { name?: string; tags?: Tags; provisioningState?: string };

export function listTaggedMachines(azure: Azure, removal: Removal): Promise<TaggedThing[]> {
  const { resourceGroup } = azure.options;
  const options = { abortSignal: removal.signal };
  return listTagged(azure, removal, {
    kind: MACHINE_THING,
    action: 'Microsoft.Compute/virtualMachines/read',
    list: () => azure.compute.virtualMachines.list(resourceGroup, options),
  });
}

export function listTaggedInterfaces(azure: Azure, removal: Removal): Promise<TaggedThing[]> {
  const { resourceGroup } = azure.options;
  const options = { abortSignal: removal.signal };
  return listTagged(azure, removal, {
    kind: INTERFACE_THING,
    action: 'Microsoft.Network/networkInterfaces/read',
    list: () => azure.network.networkInterfaces.list(resourceGroup, options),
  });
}

export function listTaggedGroups(azure: Azure, removal: Removal): Promise<TaggedThing[]> {
  const { resourceGroup } = azure.options;
  const options = { abortSignal: removal.signal };
  return listTagged(azure, removal, {
    kind: GROUP_THING,
    action: 'Microsoft.Network/networkSecurityGroups/read',
    list: () => azure.network.networkSecurityGroups.list(resourceGroup, options),
  });
}

async function listTagged(
  azure: Azure,
  { run }: Removal,
  { kind, action, list }: { kind: string; action: string; list: () => AsyncIterable<Tagged> },
): Promise<TaggedThing[]> {
  const call = { doing: 'Listing what a run left', action, resource: azure.options.resourceGroup };
  // A resource group that was removed holds nothing any more.
  const things = await askUnless(['ResourceGroupNotFound'], call, async () => {
    const found: TaggedThing[] = [];
    for await (const { name = '', tags, provisioningState = '' } of list())
      if (isOfRun(tags, run))
        found.push({ kind, id: name, machine: tagValue(tags, MACHINE_TAG), detail: provisioningState });
    return found;
  });
  return things ?? [];
}
