/** What a wave file may say under `target: azure:` and under `to:` of a machine. Descriptions go into the JSON schema. */
import { z } from 'zod';
import type { JsonObject } from '../../../src/domain/json.ts';

const DISK_TYPES = [
  'Standard_LRS',
  'StandardSSD_LRS',
  'StandardSSD_ZRS',
  'Premium_LRS',
  'Premium_ZRS',
] as const;

const ZONES = ['1', '2', '3'] as const;

/** https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules */
const NETWORK_NAME = String.raw`[A-Za-z0-9](?:[\w.-]{0,78}\w)?`;
const PROVIDER = '/subscriptions/[0-9a-fA-F-]{36}/resourceGroups/[^/]+/providers';
const SUBNET = new RegExp(
  `^(?:${PROVIDER}/Microsoft\\.Network/virtualNetworks/${NETWORK_NAME}/subnets/${NETWORK_NAME}|${NETWORK_NAME}/${NETWORK_NAME})$`,
);
const GROUP = new RegExp(`^(?:${PROVIDER}/Microsoft\\.Network/networkSecurityGroups/)?${NETWORK_NAME}$`);

const securityGroup = z
  .string()
  .regex(GROUP, 'is neither the name nor the id of a network security group')
  .optional();

export const azureOptionsSchema = z.strictObject({
  subscription: z.uuid('is not the id of a subscription').describe('Id of the subscription.'),
  resourceGroup: z
    .string()
    .regex(/^[-\w.()]{0,89}[-\w()]$/, 'is not the name of a resource group')
    .describe('Resource group that the machines land in. It must exist.'),
  location: z
    .string()
    .regex(/^[a-z0-9]+$/, 'is not the name of a location, such as westeurope')
    .describe('Location that the machines land in. Their networks must be there too.'),
  endpoint: z
    .url({ protocol: /^https$/, error: 'is not an https URL: it is sent the token of this identity' })
    .optional()
    .describe(
      'Base URL of Resource Manager. Default: that of the cloud of AZURE_AUTHORITY_HOST, else Azure.',
    ),
  diskType: z.enum(DISK_TYPES).default('StandardSSD_LRS').describe('Type of the landed disks.'),
  diskEncryptionSet: z
    .string()
    .regex(
      new RegExp(`^${PROVIDER}/Microsoft\\.Compute/diskEncryptionSets/[\\w-]+$`),
      'is not the id of a disk encryption set',
    )
    .optional()
    .describe('Id of the disk encryption set whose key encrypts the landed disks. Default: a key of Azure.'),
  keepSnapshots: z
    .boolean()
    .default(false)
    .describe(
      'Keep a snapshot of each disk as it was uploaded, for `landfall verify`. Costs storage for what the disks hold.',
    ),
  quarantineGroup: securityGroup.describe(
    'Network security group in which landings are proven: a name in the resource group, or an id. Default: one that lets nothing in or out is made for each run.',
  ),
});

export const azureMachineOptionsSchema = z.strictObject({
  name: z
    .string()
    .regex(/^[A-Za-z0-9](?:[A-Za-z0-9-]{0,62}[A-Za-z0-9])?$/, 'is not the name of a virtual machine')
    .optional()
    .describe(
      "Name of the virtual machine. Default: the machine's, with what Azure forbids replaced by dashes.",
    ),
  subnet: z
    .string()
    .regex(SUBNET, 'is neither NETWORK/SUBNET nor the id of a subnet')
    .optional()
    .describe('Subnet in which the machine lands: NETWORK/SUBNET in the resource group, or its id. Needed.'),
  privateIp: z.ipv4().optional().describe('Private address in the subnet. Default: a free one.'),
  group: securityGroup.describe(
    'Network security group that the machine gets once it is proven: a name in the resource group, or an id. Needed.',
  ),
  size: z
    .string()
    .regex(/^[A-Za-z]+_[A-Za-z0-9_-]+$/, 'is not a size, such as Standard_D2s_v5')
    .optional()
    .describe(
      'Size. Default: the least that has the cpus and the memory of the machine, and takes its disks.',
    ),
  diskType: z.enum(DISK_TYPES).optional().describe("Another type of disks than the target's."),
  zone: z
    .union([z.enum(ZONES), z.literal([1, 2, 3]).transform(String)], { error: 'must be 1, 2 or 3' })
    .optional()
    .describe('Availability zone. Default: none.'),
  secureBoot: z
    .boolean()
    .optional()
    .describe('Secure Boot, with the keys of Microsoft. UEFI machines only. Default: as at the source.'),
  vtpm: z.boolean().optional().describe('Give the machine a virtual TPM 2.0. UEFI machines only.'),
  tags: z
    .record(
      z
        .string()
        .min(1)
        .max(512)
        .regex(/^[^<>%&\\?/]+$/, 'holds one of < > % & \\ ? /'),
      z.string().max(256),
      {
        error: ({ code }) =>
          code === 'invalid_key'
            ? 'is no name of a tag: 1 to 512 characters, none of < > % & \\ ? /'
            : undefined,
      },
    )
    .optional()
    .describe('Tags for everything that is made for the machine, beside those of Landfall.'),
});

export type AzureOptions = z.infer<typeof azureOptionsSchema>;
export type AzureMachineOptions = z.infer<typeof azureMachineOptionsSchema>;

/** A machine's `to:`, as it stands in a record that was checked when the wave was read. */
export function machineOptions(to: JsonObject): AzureMachineOptions {
  return azureMachineOptionsSchema.parse(to);
}
