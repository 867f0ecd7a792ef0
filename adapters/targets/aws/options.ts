/** What a wave file may say under `target: aws:` and under `to:` of a machine. Descriptions go into the JSON schema. */
import { z } from 'zod';
import { LandfallError } from '../../../src/domain/errors.ts';
import type { JsonObject } from '../../../src/domain/json.ts';

/** The ways in which a machine gets from its disks to an AMI. */
const VIAS = ['import-snapshot', 'import-image', 'ebs-direct'] as const;
export type Via = (typeof VIAS)[number];

export const awsOptionsSchema = z.strictObject({
  region: z
    .string()
    .regex(/^[a-z]{2}(-[a-z]+)+-\d+$/, 'is not the name of a region, such as eu-central-1')
    .describe('Region the machines land in. The bucket must be in it too.'),
  bucket: z
    .string()
    .regex(/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/, 'is not the name of a bucket')
    .optional()
    .describe('S3 bucket for disks on their way in. Needed unless every machine goes by ebs-direct.'),
  prefix: z
    .string()
    .regex(/^([^/]+\/)*$/, 'must end with / and not start with it')
    .default('landfall/')
    .describe('Objects are put under this prefix, then under the run and the machine. Ends with "/".'),
  endpoint: z
    .url()
    .optional()
    .describe(
      'Base URL of all services, for clouds that look like AWS. Default: AWS_ENDPOINT_URL (and AWS_ENDPOINT_URL_S3, …), else AWS.',
    ),
  role: z
    .string()
    .default('vmimport')
    .describe("Name of the service role by which AWS's importer reads the bucket."),
  via: z
    .enum(VIAS)
    .default('import-snapshot')
    .describe(
      'import-snapshot: the disks as they are, through the bucket. import-image: AWS inspects the guest and injects its drivers, as Windows needs. ebs-direct: the disks as they are, block by block into snapshots; no bucket, no role.',
    ),
  kmsKey: z
    .string()
    .optional()
    .describe(
      'Key (id, ARN or alias) that encrypts the landed disks. Default: as the account encrypts by default.',
    ),
  keep: z.boolean().default(false).describe('Keep the uploaded objects after import.'),
  importTasks: z
    .int()
    .min(1)
    .max(1000)
    .default(20)
    .describe('Import tasks outstanding at once, over all workers. AWS limits them per account.'),
  quarantineGroup: z
    .string()
    .regex(/^sg-[0-9a-f]+$/, 'is not the id of a security group')
    .optional()
    .describe(
      'Security group in which landings are proven. Default: one without rules is made for each run and VPC.',
    ),
  volumeType: z.enum(['gp3', 'gp2', 'io2']).default('gp3').describe('Type of the landed volumes.'),
  partSizeMiB: z
    .int()
    .min(5)
    .max(1024)
    .default(8)
    .describe(
      'Size of the first upload parts. Later ones grow with their number where the disk could need more than 10,000.',
    ),
});

export const awsMachineOptionsSchema = z.strictObject({
  subnet: z
    .string()
    .regex(/^subnet-[0-9a-f]+$/, 'is not the id of a subnet')
    .optional()
    .describe('Subnet in which the machine lands. Needed.'),
  privateIp: z.ipv4().optional().describe('Private address in the subnet. Default: a free one.'),
  groups: z
    .array(z.string().regex(/^sg-[0-9a-f]+$/, 'is not the id of a security group'))
    .min(1)
    .max(16)
    .optional()
    .describe('Security groups that the machine gets once it is proven. Needed.'),
  via: z.enum(VIAS).optional().describe("Another way for this machine than the target's `via`."),
  instanceType: z
    .string()
    .regex(/^[a-z0-9-]+\.[a-z0-9-]+$/, 'is not an instance type, such as m6i.large')
    .optional()
    .describe('Instance type. Default: the least that has the cpus and the memory of the machine.'),
  instanceProfile: z.string().min(1).optional().describe('Name of the instance profile.'),
  licenseType: z
    .enum(['AWS', 'BYOL'])
    .optional()
    .describe('Who licenses the operating system; for import-image only.'),
  tpm: z.boolean().optional().describe('Give the machine a TPM 2.0. UEFI machines only.'),
  tags: z
    .record(z.string().min(1).max(128), z.string().max(256))
    .optional()
    .describe('Tags for everything that is made for the machine, beside those of Landfall.'),
});

export type AwsOptions = z.infer<typeof awsOptionsSchema>;
export type AwsMachineOptions = z.infer<typeof awsMachineOptionsSchema>;

/** A machine's `to:`, as it stands in a record that was checked when the wave was read. */
export function machineOptions(to: JsonObject): AwsMachineOptions {
  return awsMachineOptionsSchema.parse(to);
}

/** The way that a machine takes: its own, or else the target's. */
export function viaOf(options: Pick<AwsOptions, 'via'>, to: JsonObject): Via {
  return machineOptions(to).via ?? options.via;
}

/** Throws `target-refused` where the wave names none: pre-flight finds it before, unless the wave was changed. */
export function bucketOf({ bucket }: Pick<AwsOptions, 'bucket'>): string {
  if (bucket !== undefined) return bucket;
  throw new LandfallError({
    code: 'target-refused',
    message:
      'The target names no `bucket`, which every machine needs that does not go by `via: ebs-direct`. Name one, or set `via: ebs-direct`.',
  });
}
