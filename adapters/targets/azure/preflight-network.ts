/** The subnet, the address and the security groups in which a machine would land. */
import type { NetworkSecurityGroup, Subnet, VirtualNetwork } from '@azure/arm-network';
import { failed, look, warned } from '../../../src/domain/finding.ts';
import { placeOfAddress, usableCount } from '../../../src/domain/ip-range.ts';
import type { Machine } from '../../../src/domain/machine.ts';
import type { Finding } from '../../../src/domain/ports.ts';
import type { Azure } from './clients.ts';
import { ask, askIfNamed } from './errors.ts';
import { type GroupPlace, groupPlace, isSameId, type SubnetPlace, subnetPlace } from './network-id.ts';
import type { AzureMachineOptions } from './options.ts';
import { looking } from './preflight-account.ts';
import { isShut } from './quarantine.ts';

const LISTED = 10;
/** Groups of runs, which no machine is admitted to. */
const QUARANTINE = 'landfall-quarantine-';

type Landing = { machine: Machine; to: AzureMachineOptions; signal: AbortSignal };

export async function checkNetwork(azure: Azure, landing: Landing): Promise<Finding[]> {
  return [...(await checkSubnet(azure, landing)), ...(await checkGroups(azure, landing))];
}

async function checkSubnet(azure: Azure, landing: Landing): Promise<Finding[]> {
  const { machine, to, signal } = landing;
  const { location, subscription } = azure.options;
  if (to.subnet === undefined) {
    const remedy = 'Set `subnet` under `to:` or `defaults: to:`.';
    return [failed(machine.name, 'it has no subnet to land in', remedy)];
  }
  const place = subnetPlace(azure.options, to.subnet);
  const subject = `${machine.name}: ${place.network}/${place.subnet}`;
  const remedy = `Name a subnet of ${location} as \`subnet\` under \`to:\`.`;
  if (!isSameId(place.subscription, subscription))
    return [failed(subject, `it is in another subscription, ${place.subscription}`, remedy)];
  return look({ subject, signal }, async () => {
    const network = await findNetwork(azure, place, signal);
    if (network === null) {
      const others = await listOthers(
        azure.network.virtualNetworks.list(place.resourceGroup, { abortSignal: signal }),
      );
      return [failed(subject, `there is no such network in ${place.resourceGroup}${others}`, remedy)];
    }
    if (network.location !== location)
      return [failed(subject, `it is in ${network.location}, but machines land in ${location}`, remedy)];
    const subnet = network.subnets?.find(({ id }) => isSameId(id, place.id));
    if (subnet === undefined) {
      const names = (network.subnets ?? []).map(({ name }) => name).join(', ');
      return [failed(subject, `the network has no such subnet; it has ${names}`, remedy)];
    }
    return checkAddress(azure, { ...landing, place, subnet });
  });
}

async function checkAddress(
  azure: Azure,
  { machine, to, signal, place, subnet }: Landing & { place: SubnetPlace; subnet: Subnet },
): Promise<Finding[]> {
  const cidrs = prefixesOf(subnet);
  const address = to.privateIp;
  if (address === undefined) {
    const usable = cidrs.reduce((sum, cidr) => sum + usableCount(cidr), 0);
    if ((subnet.ipConfigurations ?? []).length < usable) return [];
    const subject = `${machine.name}: ${place.network}/${place.subnet}`;
    return [failed(subject, 'it has no free address', 'Free one, or name another subnet.')];
  }
  const subject = `${machine.name}: ${address}`;
  const range = cidrs.join(', ');
  const remedy = `Name a free address of ${range} as \`privateIp\`, or none.`;
  const places = cidrs.map((cidr) => placeOfAddress(address, cidr));
  if (places.includes('reserved'))
    return [failed(subject, `Azure keeps the first four addresses of ${range} and the last`, remedy)];
  if (!places.includes('usable'))
    return [failed(subject, `it is not in ${range}, the addresses of ${place.subnet}`, remedy)];
  const action = 'Microsoft.Network/virtualNetworks/checkIpAddressAvailability/read';
  const call = looking('an address', action, `${address} in ${place.network}`);
  const { available } = await ask(call, () =>
    azure.network.virtualNetworks.checkIPAddressAvailability(place.resourceGroup, place.network, address, {
      abortSignal: signal,
    }),
  );
  return available === false ? [failed(subject, 'something has this address already', remedy)] : [];
}

async function checkGroups(azure: Azure, { machine, to, signal }: Landing): Promise<Finding[]> {
  const { quarantineGroup } = azure.options;
  const findings: Finding[] = [];
  if (to.group === undefined) {
    const remedy = 'Set `group` under `to:` or `defaults: to:`.';
    findings.push(failed(machine.name, 'it has no network security group to be admitted to', remedy));
  } else {
    findings.push(...(await checkGroup(azure, { machine, name: to.group, signal })).findings);
  }
  if (quarantineGroup === undefined) return findings;
  const { group, findings: found } = await checkGroup(azure, { machine, name: quarantineGroup, signal });
  findings.push(...found);
  if (group !== null && !isShut(group)) {
    const message =
      'the quarantine group does not deny everything in and out: machines that are not proven yet can be reached or reach others';
    const remedy =
      'Give it rules that deny everything in both directions, and out to AzurePlatformDNS, AzurePlatformIMDS and AzurePlatformLKM, and no other, or leave `quarantineGroup` out: then one is made.';
    findings.push(warned(`group ${quarantineGroup}`, message, remedy));
  }
  return findings;
}

async function checkGroup(
  azure: Azure,
  { machine, name, signal }: { machine: Machine; name: string; signal: AbortSignal },
): Promise<{ group: NetworkSecurityGroup | null; findings: Finding[] }> {
  const { location, subscription } = azure.options;
  const place = groupPlace(azure.options, name);
  const subject = `${machine.name}: ${place.name}`;
  const remedy = `Name a network security group of ${location}.`;
  if (!isSameId(place.subscription, subscription)) {
    const message = `it is in another subscription, ${place.subscription}`;
    return { group: null, findings: [failed(subject, message, remedy)] };
  }
  let group: NetworkSecurityGroup | null = null;
  const findings = await look({ subject, signal }, async () => {
    group = await findGroup(azure, place, signal);
    if (group === null) {
      const list = azure.network.networkSecurityGroups.list(place.resourceGroup, { abortSignal: signal });
      const message = `there is no such network security group in ${place.resourceGroup}${await listOthers(list)}`;
      return [failed(subject, message, remedy)];
    }
    if (group.location === location) return [];
    return [failed(subject, `it is in ${group.location}, but machines land in ${location}`, remedy)];
  });
  return { group, findings };
}

/** "; it has a, b": a hint, so what cannot be listed is not told. */
async function listOthers(things: AsyncIterable<{ name?: string }>): Promise<string> {
  const names: string[] = [];
  try {
    for await (const { name = '' } of things) if (!name.startsWith(QUARANTINE)) names.push(name);
  } catch {
    return '';
  }
  const more = names.length > LISTED ? ` and ${names.length - LISTED} more` : '';
  return names.length === 0 ? '' : `; it has ${names.toSorted().slice(0, LISTED).join(', ')}${more}`;
}

async function findNetwork(
  azure: Azure,
  { resourceGroup, network }: SubnetPlace,
  signal: AbortSignal,
): Promise<VirtualNetwork | null> {
  const resource = `${network} in ${resourceGroup}`;
  const call = looking('a virtual network', 'Microsoft.Network/virtualNetworks/read', resource);
  return askIfNamed(call, () =>
    azure.network.virtualNetworks.get(resourceGroup, network, { abortSignal: signal }),
  );
}

async function findGroup(
  azure: Azure,
  { resourceGroup, name }: GroupPlace,
  signal: AbortSignal,
): Promise<NetworkSecurityGroup | null> {
  const action = 'Microsoft.Network/networkSecurityGroups/read';
  const call = looking('a network security group', action, `${name} in ${resourceGroup}`);
  return askIfNamed(call, () =>
    azure.network.networkSecurityGroups.get(resourceGroup, name, { abortSignal: signal }),
  );
}

/** IPv4 ones. */
function prefixesOf({ addressPrefix, addressPrefixes }: Subnet): string[] {
  const all = addressPrefixes ?? (addressPrefix === undefined ? [] : [addressPrefix]);
  return all.filter((prefix) => !prefix.includes(':'));
}
