/**
 * The network security group in which landings are proven: no way in, no way out, also not to the platform's own services,
 * which "all" of a rule leaves open. One for each run, found by its name; or
 * the one that the wave names, which is left as it is.
 * https://learn.microsoft.com/azure/virtual-network/network-security-groups-overview
 */
import type { NetworkSecurityGroup, SecurityRule } from '@azure/arm-network';
import { LandfallError } from '../../../src/domain/errors.ts';
import type { StepContext } from '../../../src/domain/ports.ts';
import type { Azure } from './clients.ts';
import { type AzureCall, ask, askIfFound, askUnless } from './errors.ts';
import { isOfRun, quarantineName, RUN_TAG } from './names.ts';
import { groupPlace } from './network-id.ts';
import { awaitOperation } from './operation.ts';
import { checkRun, type Removal } from './removal.ts';

/** Before Azure's own rules, which let a network's machines reach each other and the internet. */
const RULE_PRIORITY = 100;
const DIRECTIONS = ['Inbound', 'Outbound'] as const;
/**
 * Name resolution, the metadata service and licensing: reached past every rule that does not name them.
 * https://learn.microsoft.com/azure/virtual-network/network-security-groups-overview#azure-platform-considerations
 */
const PLATFORM_TAGS = ['AzurePlatformDNS', 'AzurePlatformIMDS', 'AzurePlatformLKM'] as const;
const ALL = '*';

/** The id of the group for landings of this run; made where it is not there yet. */
export async function openQuarantine(azure: Azure, context: StepContext): Promise<string> {
  const { options } = azure;
  if (options.quarantineGroup !== undefined) return groupPlace(options, options.quarantineGroup).id;
  const entry = await context.ledger.intend('quarantine');
  const noted = entry.ref?.groupId;
  const name = typeof noted === 'string' ? noted : quarantineName(context.run);
  const found = await findQuarantine(azure, name, context.signal);
  if (found !== null) checkOurs(found, context.run);
  // Asked for again, one that another worker makes in this moment is waited for, and one that failed is mended.
  if (found?.provisioningState === 'Succeeded') checkShut(found);
  else await createQuarantine(azure, name, context);
  // Settled once: whoever discards goes by the time of the last change, and the group goes after the machine.
  if (entry.state !== 'done') await context.ledger.settle(entry, 'done', { groupId: name });
  return groupPlace(options, name).id;
}

/** Removes a group that Landfall made, unless a machine is still in it. Idempotent. Returns whether it is gone. */
export async function closeQuarantine(
  azure: Azure,
  name: string,
  { run, signal }: Removal,
): Promise<boolean> {
  const group = await findQuarantine(azure, name, signal);
  if (group === null) return true;
  checkRun(group.tags, { run, thing: `network security group ${name}` });
  const { resourceGroup } = azure.options;
  const call = groupCall(azure, { doing: 'Removing a quarantine group', action: 'delete', name });
  const removed = await askUnless(['InUseNetworkSecurityGroupCannotBeDeleted'], call, () =>
    awaitOperation(
      azure.network.networkSecurityGroups.delete(resourceGroup, name, {
        ...azure.polling,
        abortSignal: signal,
      }),
      signal,
    ).then(() => true),
  );
  return removed !== null;
}

/** null where there is none. */
export async function findQuarantine(
  azure: Azure,
  name: string,
  signal: AbortSignal,
): Promise<NetworkSecurityGroup | null> {
  const { resourceGroup } = azure.options;
  const call = groupCall(azure, { doing: 'Looking for the quarantine group', action: 'read', name });
  return askIfFound(call, () =>
    azure.network.networkSecurityGroups.get(resourceGroup, name, { abortSignal: signal }),
  );
}

/** Does it let nothing in and nothing out? */
export function isShut({ securityRules = [] }: NetworkSecurityGroup): boolean {
  const opens = securityRules.some(({ access }) => access !== 'Deny');
  const isDenied = (direction: string, destination: string): boolean =>
    securityRules.some((rule) => shuts(rule, { direction, destination }));
  return (
    !opens &&
    DIRECTIONS.every((direction) => isDenied(direction, ALL)) &&
    PLATFORM_TAGS.every((tag) => isDenied('Outbound', tag))
  );
}

/** Two workers that make it at the same moment make the same. */
async function createQuarantine(azure: Azure, name: string, context: StepContext): Promise<void> {
  const { resourceGroup, location } = azure.options;
  const call = groupCall(azure, { doing: 'Making a quarantine group', action: 'write', name });
  const group: NetworkSecurityGroup = {
    location,
    // Shared by the machines of the run, so it carries no machine's tag.
    tags: { [RUN_TAG]: context.run.slice(0, 256) },
    securityRules: [...DIRECTIONS.map(denyAll), ...PLATFORM_TAGS.map(denyPlatform)],
  };
  await ask(call, () =>
    awaitOperation(
      azure.network.networkSecurityGroups.createOrUpdate(resourceGroup, name, group, {
        ...azure.polling,
        abortSignal: context.signal,
      }),
      context.signal,
    ),
  );
}

function denyAll(direction: (typeof DIRECTIONS)[number]): SecurityRule {
  return {
    name: `deny-all-${direction.toLowerCase()}`,
    description: 'Not proven yet',
    direction,
    access: 'Deny',
    priority: RULE_PRIORITY,
    protocol: '*',
    sourceAddressPrefix: '*',
    sourcePortRange: '*',
    destinationAddressPrefix: '*',
    destinationPortRange: '*',
  };
}

function denyPlatform(tag: (typeof PLATFORM_TAGS)[number], index: number): SecurityRule {
  return {
    ...denyAll('Outbound'),
    name: `deny-${tag}`,
    priority: RULE_PRIORITY + 1 + index,
    destinationAddressPrefix: tag,
  };
}

function shuts(
  rule: SecurityRule,
  { direction, destination }: { direction: string; destination: string },
): boolean {
  const { protocol, sourceAddressPrefix, sourcePortRange, destinationAddressPrefix, destinationPortRange } =
    rule;
  const everything = [protocol, sourceAddressPrefix, sourcePortRange, destinationPortRange];
  return (
    rule.direction === direction &&
    rule.access === 'Deny' &&
    destinationAddressPrefix?.toLowerCase() === destination.toLowerCase() &&
    everything.every((part) => part === ALL)
  );
}

function checkOurs({ name = '', tags }: NetworkSecurityGroup, run: string): void {
  if (!isOfRun(tags, run))
    throw refused(
      `Left the network security group ${name} alone: it has a name of Landfall's but not the tag of run ${run}. Remove it by hand, or name a \`quarantineGroup\` in the target.`,
    );
}

/** Rules that somebody added or took away would let a landing be reached before it is proven. */
function checkShut(group: NetworkSecurityGroup): void {
  if (isShut(group)) return;
  throw refused(
    `The quarantine group ${group.name} no longer denies everything in and out; an unproven machine would be reachable. Remove the rules that were added, or the group once nothing is in it, then retry.`,
  );
}

function groupCall(
  { options }: Azure,
  { doing, action, name }: { doing: string; action: string; name: string },
): AzureCall {
  return {
    doing,
    action: `Microsoft.Network/networkSecurityGroups/${action}`,
    resource: `network security group ${name} in ${options.resourceGroup}`,
  };
}

function refused(message: string): LandfallError {
  return new LandfallError({ code: 'target-refused', message });
}
