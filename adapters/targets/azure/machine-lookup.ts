/** Finding the virtual machine of a name, and how requests for it are told. */
import type { VirtualMachine } from '@azure/arm-compute';
import type { Azure } from './clients.ts';
import { type AzureCall, askIfFound } from './errors.ts';

/** null where there is none. */
export async function findMachine(
  azure: Azure,
  name: string,
  signal: AbortSignal,
): Promise<VirtualMachine | null> {
  const { resourceGroup } = azure.options;
  const call = machineCall(azure, { doing: 'Looking for a virtual machine', action: 'read', name });
  return askIfFound(call, () =>
    azure.compute.virtualMachines.get(resourceGroup, name, { abortSignal: signal }),
  );
}

export function machineCall(
  { options }: Azure,
  { doing, action, name }: { doing: string; action: string; name: string },
): AzureCall {
  return {
    doing,
    action: `Microsoft.Compute/virtualMachines/${action}`,
    resource: `virtual machine ${name} in ${options.resourceGroup}`,
  };
}
