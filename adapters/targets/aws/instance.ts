/**
 * The instance of a machine, started once: the client token is the ledger's, so the same request answers with the same
 * instance for as long as it lives.
 *
 *   intended ──► pending ──► running ──► done
 *      │             └──► terminated by AWS (no capacity, a key it may not use): failed, with AWS's reason
 *      └── the token's instance was terminated by somebody: discarded, and once more under a new token
 *
 * It starts in its final subnet under the quarantine group. A guest's `poweroff` must not destroy what was moved:
 * shutdown stops the instance, and its disks outlive it.
 * https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RunInstances.html
 */
import {
  type Instance,
  type InstanceBlockDeviceMappingSpecification,
  RunInstancesCommand,
  type RunInstancesRequest,
  type TagSpecification,
} from '@aws-sdk/client-ec2';
import { LandfallError } from '../../../src/domain/errors.ts';
import type { ImportRequest, LedgerEntry, StepContext, StepOutcome } from '../../../src/domain/ports.ts';
import type { Aws } from './clients.ts';
import { askUnless, awsCodeOf } from './errors.ts';
import { describeImage } from './image.ts';
import { mayNotBeVisibleYet, pollDelayMs } from './import-task.ts';
import { describeInstance, findInstance } from './instance-lookup.ts';
import { instanceTypeFor } from './instance-type.ts';
import { asLag, asLagOfNew } from './lag.ts';
import { tagsFor } from './names.ts';
import { machineOptions } from './options.ts';
import { removeVolumesOf } from './removal.ts';
import { iopsFor } from './volume-type.ts';

export type InstanceStart = {
  request: ImportRequest;
  imageId: string;
  quarantineGroup: string;
  subnet: string;
  context: StepContext;
};

/** Tags of network interfaces let an operator find an address that was left behind. */
const TAGGED = ['instance', 'volume', 'network-interface'] as const;

/** The instance, once it runs. */
export async function startInstance(aws: Aws, start: InstanceStart): Promise<StepOutcome<Instance>> {
  const { context } = start;
  const earlier = await context.ledger.entries();
  const entry = await context.ledger.intend('instance');
  const knownId = entry.ref?.instanceId;
  if (typeof knownId === 'string') return watchInstance(aws, { start, entry, instanceId: knownId });
  // AWS forgets client tokens; an attempt that was killed in between may have made it long ago.
  const isTriedBefore = earlier.some(({ token }) => token === entry.token);
  const found = isTriedBefore ? await findInstance(aws, entry, context.signal) : null;
  const instanceId = found?.InstanceId ?? (await run(aws, start, entry));
  if (instanceId === null) {
    await removeVolumesOf(aws, entry, context.signal);
    await context.ledger.settle(entry, 'discarded');
    return startInstance(aws, start);
  }
  const started = await context.ledger.settle(entry, 'intended', { instanceId });
  return watchInstance(aws, { start, entry: started, instanceId });
}

/** The instance's id; null where this token's instance was terminated already. */
async function run(aws: Aws, start: InstanceStart, entry: LedgerEntry): Promise<string | null> {
  const { request, context } = start;
  const command = new RunInstancesCommand(await instanceRequest(aws, start, entry));
  const call = {
    doing: `Starting ${request.machine.name}`,
    action: 'ec2:RunInstances',
    resource: `${start.imageId} in ${start.subnet}`,
  };
  try {
    const answer = await askUnless(['IdempotentInstanceTerminated'], call, () =>
      aws.ec2.send(command, { abortSignal: context.signal }),
    );
    return answer === null ? null : (answer.Instances?.[0]?.InstanceId as string);
  } catch (error) {
    // The same token with other parameters (the wave was edited in between): the instance that it made stands.
    const isKnownToken = awsCodeOf(error) === 'IdempotentParameterMismatch';
    const earlier = isKnownToken ? await findInstance(aws, entry, context.signal) : null;
    if (earlier?.InstanceId === undefined) throw await asRunLag(aws, error, context);
    return earlier.InstanceId;
  }
}

/** The run's own quarantine group may go with the last machine admitted in this moment: the next try makes it anew. */
async function asRunLag(aws: Aws, error: unknown, context: StepContext): Promise<unknown> {
  if (awsCodeOf(error) !== 'InvalidGroup.NotFound')
    return asLagOfNew(error, { kind: aws.options.via === 'import-image' ? 'import-task' : 'image', context });
  return aws.options.quarantineGroup === undefined ? asLag(error) : error;
}

async function instanceRequest(
  aws: Aws,
  { request, imageId, quarantineGroup, subnet, context }: InstanceStart,
  entry: LedgerEntry,
): Promise<RunInstancesRequest> {
  const { machine } = request;
  const { privateIp, instanceProfile, instanceType, tags: extra } = machineOptions(request.to);
  const type = instanceType ?? instanceTypeFor(machine);
  if (type === null) throw tooLarge(machine.name);
  const tags = tagsFor({ entry, tags: context.tags, extra, name: machine.name });
  const mappings = await keptDisks(aws, imageId, context.signal);
  return {
    ImageId: imageId,
    InstanceType: type as NonNullable<RunInstancesRequest['InstanceType']>,
    MinCount: 1,
    MaxCount: 1,
    ClientToken: entry.token,
    NetworkInterfaces: [
      {
        DeviceIndex: 0,
        SubnetId: subnet,
        Groups: [quarantineGroup],
        // Whatever the subnet gives by itself: a landing that is not proven yet is reachable by nobody.
        AssociatePublicIpAddress: false,
        ...(privateIp === undefined ? {} : { PrivateIpAddress: privateIp }),
      },
    ],
    ...(instanceProfile === undefined ? {} : { IamInstanceProfile: { Name: instanceProfile } }),
    ...(mappings === null ? {} : { BlockDeviceMappings: mappings }),
    InstanceInitiatedShutdownBehavior: 'stop',
    MetadataOptions: { HttpTokens: 'required', HttpEndpoint: 'enabled' },
    TagSpecifications: TAGGED.map((ResourceType): TagSpecification => ({ ResourceType, Tags: tags })),
  };
}

/** An AMI that AWS made (import-image) lets its disks go with the instance: overruled. Ours say it right already. */
async function keptDisks(
  aws: Aws,
  imageId: string,
  signal: AbortSignal,
): Promise<InstanceBlockDeviceMappingSpecification[] | null> {
  if (aws.options.via === 'import-snapshot') return null;
  const { volumeType } = aws.options;
  const image = await describeImage(aws, imageId, signal);
  const disks = (image?.BlockDeviceMappings ?? []).filter(({ Ebs }) => Ebs !== undefined);
  if (disks.length === 0) throw unseenDisks(imageId);
  return disks.map(({ DeviceName }) => ({
    ...(DeviceName === undefined ? {} : { DeviceName }),
    Ebs: { DeleteOnTermination: false, VolumeType: volumeType, ...iopsFor(volumeType) },
  }));
}

async function watchInstance(
  aws: Aws,
  { start, entry, instanceId }: { start: InstanceStart; entry: LedgerEntry; instanceId: string },
): Promise<StepOutcome<Instance>> {
  const { context } = start;
  const instance = await describeInstance(aws, instanceId, context.signal);
  if (instance === null && (await mayNotBeVisibleYet(entry, context)))
    return { kind: 'wait', afterMs: await pollDelayMs(entry, context), note: 'instance requested' };
  const state = instance?.State?.Name ?? 'terminated';
  switch (state) {
    case 'pending':
      return { kind: 'wait', afterMs: await pollDelayMs(entry, context), note: 'instance pending' };
    case 'shutting-down':
      // It holds its private address and its disks until it is terminated.
      return { kind: 'wait', afterMs: await pollDelayMs(entry, context), note: 'instance shutting down' };
    case 'terminated':
      return replaceTerminated(aws, { start, entry, instance });
    default:
      if (entry.state !== 'done') await context.ledger.settle(entry, 'done');
      return { kind: 'done', value: instance as Instance };
  }
}

/** AWS itself ends an instance that it cannot start: that is a failure, and starting it again at once would repeat it. */
async function replaceTerminated(
  aws: Aws,
  { start, entry, instance }: { start: InstanceStart; entry: LedgerEntry; instance: Instance | null },
): Promise<StepOutcome<Instance>> {
  const { context } = start;
  const { Code: code = '', Message: reason = code } = instance?.StateReason ?? {};
  // They outlive it, and nobody would look for them: the next instance gets disks of its own.
  await removeVolumesOf(aws, entry, context.signal);
  if (entry.state === 'done' || instance === null || code.startsWith('Client.UserInitiated')) {
    context.log(
      'warn',
      `The instance of ${context.machine} was terminated by somebody: another one is started.`,
    );
    await context.ledger.settle(entry, 'discarded');
    return startInstance(aws, start);
  }
  await context.ledger.settle(entry, 'failed', { reason });
  throw new LandfallError({
    code: code.includes('Limit') ? 'target-limit' : 'import-failed',
    retryable: true,
    message: `AWS ended the instance ${instance.InstanceId} of ${context.machine} while it started: ${reason}. Check quotas, the key of the disks (\`kmsKey\`) and the instance type.`,
    context: { instanceId: instance.InstanceId ?? '', reason: code },
  });
}

function unseenDisks(imageId: string): LandfallError {
  return new LandfallError({
    code: 'target-unavailable',
    retryable: true,
    message: `AWS made the AMI ${imageId} but does not tell its disks yet. It is tried again.`,
    context: { imageId },
  });
}

function tooLarge(machine: string): LandfallError {
  return new LandfallError({
    code: 'target-refused',
    message: `No common instance type has the cpus and the memory of ${machine}. Name one as \`instanceType\` under \`to:\`.`,
  });
}
