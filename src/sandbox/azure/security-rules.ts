/** Rules of network security groups, and the six that every group ends with. */
import { z } from 'zod';
import type { SecurityRule } from './state.ts';

const text = z.string();
const texts = z.array(z.string());

/** https://learn.microsoft.com/rest/api/virtualnetwork/network-security-groups/create-or-update#securityrule */
export const securityRuleSchema = z.strictObject({
  name: z.string().min(1).max(80),
  id: text.optional(),
  type: text.optional(),
  etag: text.optional(),
  properties: z.strictObject({
    description: text.max(140).optional(),
    protocol: z.enum(['*', 'Tcp', 'Udp', 'Icmp', 'Esp', 'Ah']),
    sourcePortRange: text.optional(),
    sourcePortRanges: texts.optional(),
    destinationPortRange: text.optional(),
    destinationPortRanges: texts.optional(),
    sourceAddressPrefix: text.optional(),
    sourceAddressPrefixes: texts.optional(),
    destinationAddressPrefix: text.optional(),
    destinationAddressPrefixes: texts.optional(),
    access: z.enum(['Allow', 'Deny']),
    priority: z.int().min(100).max(4096),
    direction: z.enum(['Inbound', 'Outbound']),
  }),
});

export function denyAll({
  name,
  priority,
  direction,
}: {
  name: string;
  priority: number;
  direction: 'Inbound' | 'Outbound';
}): SecurityRule {
  return {
    name,
    properties: {
      protocol: '*',
      sourcePortRange: '*',
      destinationPortRange: '*',
      sourceAddressPrefix: '*',
      destinationAddressPrefix: '*',
      access: 'Deny',
      priority,
      direction,
    },
  };
}

/** https://learn.microsoft.com/azure/virtual-network/network-security-groups-overview#default-security-rules */
export const DEFAULT_RULES: readonly SecurityRule[] = [
  allow({ name: 'AllowVnetInBound', priority: 65000, from: 'VirtualNetwork', to: 'VirtualNetwork' }),
  allow({ name: 'AllowAzureLoadBalancerInBound', priority: 65001, from: 'AzureLoadBalancer', to: '*' }),
  denyAll({ name: 'DenyAllInBound', priority: 65500, direction: 'Inbound' }),
  allow({ name: 'AllowVnetOutBound', priority: 65000, from: 'VirtualNetwork', to: 'VirtualNetwork' }),
  allow({ name: 'AllowInternetOutBound', priority: 65001, from: '*', to: 'Internet' }),
  denyAll({ name: 'DenyAllOutBound', priority: 65500, direction: 'Outbound' }),
];

function allow({
  name,
  priority,
  from,
  to,
}: {
  name: string;
  priority: number;
  from: string;
  to: string;
}): SecurityRule {
  const direction = name.endsWith('OutBound') ? 'Outbound' : 'Inbound';
  const rule = denyAll({ name, priority, direction });
  const addresses = { sourceAddressPrefix: from, destinationAddressPrefix: to };
  return { name, properties: { ...rule.properties, ...addresses, access: 'Allow' } };
}
