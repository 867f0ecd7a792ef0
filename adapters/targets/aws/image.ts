/**
 * The AMI of a machine, registered from its snapshots. RegisterImage takes no client token: the name is a function of
 * the ledger's, and a name that is taken already is ours.
 * https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RegisterImage.html
 */
import {
  DescribeImagesCommand,
  type DescribeImagesRequest,
  type Image,
  RegisterImageCommand,
} from '@aws-sdk/client-ec2';
import { LandfallError } from '../../../src/domain/errors.ts';
import type { ImportRequest, LedgerEntry, StepContext, StepOutcome } from '../../../src/domain/ports.ts';
import type { Aws } from './clients.ts';
import { deviceNames, ROOT_DEVICE } from './device-names.ts';
import { askUnless } from './errors.ts';
import type { Snapshots } from './import-snapshot.ts';
import { mayNotBeVisibleYet, pollDelayMs } from './import-task.ts';
import { asLagOfNew } from './lag.ts';
import { imageName, tagsFor } from './names.ts';
import { machineOptions } from './options.ts';
import { iopsFor } from './volume-type.ts';

const NOT_FOUND = ['InvalidAMIID.NotFound', 'InvalidAMIID.Unavailable'];

/** The id of an AMI that can be started. */
export async function registerImage(
  aws: Aws,
  { request, snapshots, context }: { request: ImportRequest; snapshots: Snapshots; context: StepContext },
): Promise<StepOutcome<string>> {
  const entry = await context.ledger.intend('image');
  const knownId = entry.ref?.imageId;
  if (entry.state === 'done' && typeof knownId === 'string') return { kind: 'done', value: knownId };
  // Noted once: the time of the note says how long the AMI may stay invisible.
  if (typeof knownId === 'string') return watchImage(aws, { entry, imageId: knownId, context });
  const imageId = await register(aws, { request, snapshots, context, entry });
  const registered = await context.ledger.settle(entry, 'intended', { imageId });
  return watchImage(aws, { entry: registered, imageId, context });
}

/** null where there is none. */
export async function describeImage(aws: Aws, imageId: string, signal: AbortSignal): Promise<Image | null> {
  const found = await describe(aws, { ImageIds: [imageId] }, signal);
  return found[0] ?? null;
}

async function describe(aws: Aws, request: DescribeImagesRequest, signal: AbortSignal): Promise<Image[]> {
  const call = { doing: 'Looking for an AMI', action: 'ec2:DescribeImages', resource: aws.options.region };
  const command = new DescribeImagesCommand(request);
  const answer = await askUnless(NOT_FOUND, call, () => aws.ec2.send(command, { abortSignal: signal }));
  return answer?.Images ?? [];
}

type Registration = {
  request: ImportRequest;
  snapshots: Snapshots;
  context: StepContext;
  entry: LedgerEntry;
};

async function register(aws: Aws, { request, snapshots, context, entry }: Registration): Promise<string> {
  const { machine } = request;
  const { tags: extra, tpm } = machineOptions(request.to);
  const name = imageName(entry);
  // Every default of this call is for guests of 2006: paravirtual, i386, no ENA, IMDSv1.
  const command = new RegisterImageCommand({
    Name: name,
    Description: `${machine.name}, moved by Landfall run ${context.run}`,
    Architecture: 'x86_64',
    VirtualizationType: 'hvm',
    EnaSupport: true,
    ImdsSupport: 'v2.0',
    BootMode: machine.firmware === 'uefi' ? 'uefi' : 'legacy-bios',
    ...(tpm === true && machine.firmware === 'uefi' ? { TpmSupport: 'v2.0' as const } : {}),
    RootDeviceName: ROOT_DEVICE,
    BlockDeviceMappings: deviceNames(machine).map(({ disk, device }) => ({
      DeviceName: device,
      Ebs: {
        SnapshotId: snapshotOf(snapshots, disk),
        VolumeType: aws.options.volumeType,
        DeleteOnTermination: false,
        ...iopsFor(aws.options.volumeType),
      },
    })),
    TagSpecifications: [
      { ResourceType: 'image', Tags: tagsFor({ entry, tags: context.tags, extra, name: machine.name }) },
    ],
  });
  const call = { doing: `Registering ${machine.name}`, action: 'ec2:RegisterImage', resource: name };
  const answer = await askUnless(['InvalidAMIName.Duplicate'], call, () =>
    aws.ec2.send(command, { abortSignal: context.signal }),
  ).catch(async (error) => {
    throw await asLagOfNew(error, { kind: 'import-task', context });
  });
  return answer?.ImageId ?? findByName(aws, name, context.signal);
}

async function findByName(aws: Aws, name: string, signal: AbortSignal): Promise<string> {
  const request = { Owners: ['self'], Filters: [{ Name: 'name', Values: [name] }] };
  const [image] = await describe(aws, request, signal);
  if (image?.ImageId !== undefined) return image.ImageId;
  throw new LandfallError({
    code: 'target-unavailable',
    retryable: true,
    message: `AWS says that an AMI named "${name}" exists, but does not list it yet. It is tried again.`,
  });
}

async function watchImage(
  aws: Aws,
  { entry, imageId, context }: { entry: LedgerEntry; imageId: string; context: StepContext },
): Promise<StepOutcome<string>> {
  const image = await describeImage(aws, imageId, context.signal);
  if (image?.State === 'available') {
    await context.ledger.settle(entry, 'done');
    return { kind: 'done', value: imageId };
  }
  const isOnItsWay = image === null ? await mayNotBeVisibleYet(entry, context) : image.State === 'pending';
  if (isOnItsWay) return { kind: 'wait', afterMs: await pollDelayMs(entry, context), note: 'AMI pending' };
  await context.ledger.settle(entry, 'failed');
  const reason = image?.StateReason?.Message ?? `its state is ${image?.State ?? 'unknown: it is gone'}`;
  throw new LandfallError({
    code: 'import-failed',
    retryable: true,
    message: `The AMI ${imageId} of ${context.machine} cannot be started: ${reason}. Another one is registered on the next try.`,
    context: { imageId },
  });
}

function snapshotOf(snapshots: Snapshots, disk: string): string {
  const snapshotId = snapshots[disk];
  if (snapshotId === undefined) throw new TypeError(`disk ${disk} has no snapshot`);
  return snapshotId;
}
