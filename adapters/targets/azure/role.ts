/**
 * What the identity of Landfall may do: the custom role of docs/azure.md, by the scope at which it is needed. Pre-flight
 * holds Azure's own list of our permissions against it.
 */

/** At the resource group in which machines land. */
export const LANDING_ACTIONS: readonly string[] = [
  'Microsoft.Resources/subscriptions/resourceGroups/read',
  'Microsoft.Compute/disks/read',
  'Microsoft.Compute/disks/write',
  'Microsoft.Compute/disks/delete',
  'Microsoft.Compute/disks/beginGetAccess/action',
  'Microsoft.Compute/disks/endGetAccess/action',
  'Microsoft.Compute/virtualMachines/read',
  'Microsoft.Compute/virtualMachines/write',
  'Microsoft.Compute/virtualMachines/delete',
  'Microsoft.Compute/virtualMachines/instanceView/read',
  'Microsoft.Compute/virtualMachines/retrieveBootDiagnosticsData/action',
  'Microsoft.Network/networkInterfaces/read',
  'Microsoft.Network/networkInterfaces/write',
  'Microsoft.Network/networkInterfaces/delete',
  'Microsoft.Network/networkInterfaces/join/action',
  'Microsoft.Network/networkSecurityGroups/read',
  'Microsoft.Network/networkSecurityGroups/write',
  'Microsoft.Network/networkSecurityGroups/delete',
  'Microsoft.Network/networkSecurityGroups/join/action',
];

/**
 * To ask how long-running operations go on. They belong to the subscription, not to a resource group; pre-flight sees
 * whether a role that applies to the group has them.
 */
export const OPERATION_ACTIONS: readonly string[] = [
  'Microsoft.Compute/locations/DiskOperations/read',
  'Microsoft.Compute/locations/operations/read',
  'Microsoft.Network/locations/operations/read',
];

/** At the resource group in which machines land, where the wave says `keepSnapshots: true`. */
export const SNAPSHOT_ACTIONS: readonly string[] = [
  'Microsoft.Compute/snapshots/read',
  'Microsoft.Compute/snapshots/write',
  'Microsoft.Compute/snapshots/delete',
  'Microsoft.Compute/snapshots/beginGetAccess/action',
  'Microsoft.Compute/snapshots/endGetAccess/action',
];

/** At the resource group of the wave's virtual network. */
export const SUBNET_ACTIONS: readonly string[] = [
  'Microsoft.Network/virtualNetworks/read',
  'Microsoft.Network/virtualNetworks/checkIpAddressAvailability/read',
  'Microsoft.Network/virtualNetworks/subnets/join/action',
];

/** At the resource group of the wave's network security group. */
export const GROUP_ACTIONS: readonly string[] = [
  'Microsoft.Network/networkSecurityGroups/read',
  'Microsoft.Network/networkSecurityGroups/join/action',
];

/** At the resource group of the disk encryption set. */
export const ENCRYPTION_ACTIONS: readonly string[] = ['Microsoft.Compute/diskEncryptionSets/read'];

/** At the subscription; only pre-flight asks, and goes on without. */
export const SUBSCRIPTION_ACTIONS: readonly string[] = [
  'Microsoft.Resources/subscriptions/locations/read',
  'Microsoft.Compute/skus/read',
  'Microsoft.Compute/locations/usages/read',
];

/** As Azure lists them: one for each assignment of a role. */
export type Permission = { actions?: readonly string[]; notActions?: readonly string[] };

/** What no assignment allows. An assignment's exceptions take nothing from the others. */
export function missingActions(
  permissions: readonly Permission[],
  needed: readonly string[],
): readonly string[] {
  return needed.filter((action) => !permissions.some((permission) => allows(permission, action)));
}

function allows({ actions = [], notActions = [] }: Permission, action: string): boolean {
  return actions.some((each) => covers(each, action)) && !notActions.some((each) => covers(each, action));
}

/** `*` stands for anything; case does not count. */
function covers(pattern: string, action: string): boolean {
  const parts = pattern.toLowerCase().split('*');
  const text = action.toLowerCase();
  const [first = '', ...rest] = parts;
  if (rest.length === 0) return text === first;
  if (!text.startsWith(first)) return false;
  let at = first.length;
  const last = rest.pop() ?? '';
  for (const part of rest) {
    const found = text.indexOf(part, at);
    if (found < 0) return false;
    at = found + part.length;
  }
  return text.length - last.length >= at && text.endsWith(last);
}
