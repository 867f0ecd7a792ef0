/**
 * The AWS target: disks go through S3 into VM Import, or block by block into snapshots, become an AMI and an instance
 * under quarantine, and are admitted once proven. What is durable is in the ledger and at AWS; a target object holds clients and options only.
 */
import { LandfallError } from '../../../src/domain/errors.ts';
import type { JsonObject } from '../../../src/domain/json.ts';
import type { StepContext, Target, UploadRequest, UploadSink } from '../../../src/domain/ports.ts';
import { admitInstance } from './admit.ts';
import { AWS_CAPABILITIES, uploadForm } from './capabilities.ts';
import { type Aws, createAws } from './clients.ts';
import { discardEntry } from './discard.ts';
import { openLandedDisk } from './ebs-read.ts';
import { openBlockSink } from './ebs-sink.ts';
import { importMachine } from './import.ts';
import { findTagged, removeTagged } from './leftovers.ts';
import { observeInstance } from './observe.ts';
import { awsOptionsSchema, bucketOf } from './options.ts';
import { openPartSink } from './part-sink.ts';
import { preflight } from './preflight.ts';

const MIB = 2 ** 20;

export function createAwsTarget(options: JsonObject): Target {
  const aws = createAws(awsOptionsSchema.parse(options));
  return {
    capabilities: AWS_CAPABILITIES,
    uploadForm: (disk) => uploadForm(aws.options, disk),
    preflight: (machines, signal) => preflight(aws, machines, signal),
    openUpload: (request, context) => openUpload(aws, request, context),
    import: (request, context) => importMachine(aws, request, context),
    observe: (landing, context) => observeInstance(aws, landing, context),
    admit: (request, context) => admitInstance(aws, request, context),
    openLanded: (request, signal) => openLandedDisk(aws, request, signal),
    discard: (entry, context) => discardEntry(aws, entry, context),
    findTagged: (run, signal) => findTagged(aws, run, signal),
    removeTagged: (thing, run, signal) => removeTagged(aws, thing, { run, signal }),
  };
}

async function openUpload(aws: Aws, request: UploadRequest, context: StepContext): Promise<UploadSink> {
  const { form } = request;
  switch (form.kind) {
    case 'blocks':
      return openBlockSink(aws, request, context);
    case 'parts': {
      if ((request.pass?.number ?? 0) > 0) throw onePassOnly(request);
      const { prefix, partSizeMiB } = aws.options;
      const place = { s3: aws.s3, bucket: bucketOf(aws.options), prefix };
      return openPartSink({ ...place, firstPartBytes: partSizeMiB * MIB }, { ...request, form }, context);
    }
    default:
      return form satisfies never;
  }
}

function onePassOnly({ machine, disk }: UploadRequest): LandfallError {
  return new LandfallError({
    code: 'target-refused',
    message: `Disk ${disk} of ${machine.name} went to S3 as a file, into which no later pass can write what changed. Set \`via: ebs-direct\` in the wave, which takes later passes; or copy the machine while it is off, in one pass.`,
  });
}
