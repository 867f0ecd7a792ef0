/** Subnets and security groups as a wave names them: in the target's resource group by name, elsewhere by id. */
import type { AzureOptions } from './options.ts';

export type SubnetPlace = {
  id: string;
  subscription: string;
  resourceGroup: string;
  network: string;
  subnet: string;
};
export type GroupPlace = { id: string; subscription: string; resourceGroup: string; name: string };

type Home = Pick<AzureOptions, 'subscription' | 'resourceGroup'>;

export function subnetPlace(home: Home, subnet: string): SubnetPlace {
  const id = subnet.startsWith('/')
    ? subnet
    : `${networkScope(home)}/virtualNetworks/${subnet.replace('/', '/subnets/')}`;
  const [, , subscription = '', , resourceGroup = '', , , , network = '', , name = ''] = id.split('/');
  return { id, subscription, resourceGroup, network, subnet: name };
}

export function groupPlace(home: Home, group: string): GroupPlace {
  const id = group.startsWith('/') ? group : `${networkScope(home)}/networkSecurityGroups/${group}`;
  const [, , subscription = '', , resourceGroup = '', , , , name = ''] = id.split('/');
  return { id, subscription, resourceGroup, name };
}

/** Azure compares ids without regard to case. */
export function isSameId(left: string | undefined, right: string | undefined): boolean {
  return left !== undefined && left.toLowerCase() === right?.toLowerCase();
}

function networkScope({ subscription, resourceGroup }: Home): string {
  return `/subscriptions/${subscription}/resourceGroups/${resourceGroup}/providers/Microsoft.Network`;
}
