/**
 * The AWS target: disks go through S3 into VM Import, become an AMI and an instance under quarantine, and are admitted
 * once proven. What is durable is in the ledger and at AWS; a target object holds clients and options only.
 */
import type { z } from 'zod';
import type { TargetAdapter } from '../../../src/domain/adapter.ts';
import type { JsonObject } from '../../../src/domain/json.ts';
import type { Target } from '../../../src/domain/ports.ts';
import { admitInstance } from './admit.ts';
import { AWS_CAPABILITIES, containerFor } from './capabilities.ts';
import { createAws } from './clients.ts';
import { discardEntry } from './discard.ts';
import { importMachine } from './import.ts';
import { findTagged, removeTagged } from './leftovers.ts';
import { observeInstance } from './observe.ts';
import { awsMachineOptionsSchema, awsOptionsSchema } from './options.ts';
import { preflight } from './preflight.ts';
import { openUploadSink } from './upload-sink.ts';

const MIB = 2 ** 20;

export const awsTarget: TargetAdapter = {
  kind: 'aws',
  // Absent keys are left out of what these schemas give, never undefined: it is plain data.
  options: awsOptionsSchema as unknown as z.ZodType<JsonObject>,
  machineOptions: awsMachineOptionsSchema as unknown as z.ZodType<JsonObject>,
  create: createAwsTarget,
};

function createAwsTarget(options: JsonObject): Target {
  const aws = createAws(awsOptionsSchema.parse(options));
  const { bucket, prefix, partSizeMiB } = aws.options;
  const upload = { s3: aws.s3, bucket, prefix, partBytes: partSizeMiB * MIB };
  return {
    capabilities: AWS_CAPABILITIES,
    containerFor,
    preflight: (machines, signal) => preflight(aws, machines, signal),
    openUpload: (request, context) => openUploadSink(upload, request, context),
    import: (request, context) => importMachine(aws, request, context),
    observe: (landing, context) => observeInstance(aws, landing, context),
    admit: (request, context) => admitInstance(aws, request, context),
    discard: (entry, context) => discardEntry(aws, entry, context),
    findTagged: (run, signal) => findTagged(aws, run, signal),
    removeTagged: (thing, run, signal) => removeTagged(aws, thing, { run, signal }),
  };
}
