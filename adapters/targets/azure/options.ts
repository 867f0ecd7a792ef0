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

export const azureOptionsSchema = z.strictObject({
  subscription: z.uuid('is not the id of a subscription').describe('Id of the subscription.'),
  resourceGroup: z
    .string()
    .regex(/^[-\w.()]{0,89}[-\w()]$/, 'is not the name of a resource group')
    .describe('Resource group that the machines land in. It must exist.'),
  location: z
    .string()
    .regex(/^[a-z0-9]+$/, 'is not the name of a location, such as westeurope')
    .describe('Location that the machines land in.'),
  endpoint: z
    .url()
    .optional()
    .describe(
      'Base URL of Resource Manager. Default: that of the cloud of AZURE_AUTHORITY_HOST, else Azure.',
    ),
  diskType: z.enum(DISK_TYPES).default('StandardSSD_LRS').describe('Type of the landed disks.'),
  diskEncryptionSet: z
    .string()
    .optional()
    .describe('Id of the disk encryption set whose key encrypts the landed disks. Default: a key of Azure.'),
});

export const azureMachineOptionsSchema = z.strictObject({
  diskType: z.enum(DISK_TYPES).optional().describe("Another type of disks than the target's."),
  zone: z.enum(['1', '2', '3']).optional().describe('Availability zone. Default: none.'),
  vtpm: z.boolean().optional().describe('Give the machine a virtual TPM 2.0. UEFI machines only.'),
  tags: z
    .record(z.string().min(1).max(512), z.string().max(256))
    .optional()
    .describe('Tags for everything that is made for the machine, beside those of Landfall.'),
});

export type AzureOptions = z.infer<typeof azureOptionsSchema>;
export type AzureMachineOptions = z.infer<typeof azureMachineOptionsSchema>;

/** A machine's `to:`, as it stands in a record that was checked when the wave was read. */
export function machineOptions(to: JsonObject): AzureMachineOptions {
  return azureMachineOptionsSchema.parse(to);
}
