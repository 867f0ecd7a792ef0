/** RunInstances: everything is checked and recorded at once; the fleet boots what was recorded. */
import { defineEc2Action } from '../query-protocol.ts';
import type { Ec2Desk } from './cloud.ts';
import { findByToken, readToken } from './idempotency.ts';
import { requireInstanceType } from './instance-types.ts';
import { describeReservation } from './instance-xml.ts';
import { unknownKeyPair } from './key-pairs.ts';
import { checkBootable, checkCapacity, readCount } from './launch-checks.ts';
import { chooseDevices, createVolume } from './launch-devices.ts';
import { createInterface, readNetwork } from './launch-network.ts';
import { type RunInput, runParameters, tagsFor } from './launch-parameters.ts';
import { invalidValue, newHex, newId, refuse, requireMember } from './refusals.ts';
import { type Ec2State, type IdempotencyKey, type Instance, isLive, type MachineImage } from './state.ts';

/** https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RunInstances.html */
export function runInstances(desk: Ec2Desk) {
  return defineEc2Action(runParameters, async (input) => {
    const { ClientToken, ...parameters } = input;
    const idempotency = readToken(ClientToken, parameters);
    const { launched, isNew } = await desk.store.update((state) => {
      const earlier = findByToken(Object.values(state.instances), idempotency);
      if (earlier.length > 0) return { launched: reviveReservation(earlier), isNew: false };
      return { launched: launch({ desk, state, input, idempotency }), isNew: true };
    });
    if (isNew) for (const { id } of launched) desk.fleet.launch(id);
    return describeReservation(desk.store.read(), { instances: launched, accountId: desk.accountId });
  });
}

function reviveReservation(earlier: readonly Instance[]): readonly Instance[] {
  if (earlier.every(isLive)) return earlier;
  throw refuse(
    'IdempotentInstanceTerminated',
    'The request to launch an instance uses the same client token as a previous request for which the instance has been terminated.',
  );
}

type Launch = { desk: Ec2Desk; state: Ec2State; input: RunInput; idempotency: IdempotencyKey | null };

function launch({ desk, state, input, idempotency }: Launch): Instance[] {
  const image = requireMember({ members: state.images, kind: 'image', id: input.ImageId });
  const type = requireInstanceType(input.InstanceType);
  checkBootable(image, type);
  if (input.KeyName !== undefined) throw unknownKeyPair(input.KeyName);
  const count = readCount(input);
  const network = readNetwork(state, input);
  checkCapacity({ limits: desk.limits, state, type, count, zone: network.subnet.zone });
  const devices = chooseDevices({ state, image, input });
  const common = readCommon({ desk, input, image });
  const reservationId = `r-${newHex()}`;
  return Array.from({ length: count }, (_, launchIndex) => {
    const id = newId('instance');
    const now = desk.clock.now();
    const nic = createInterface({ state, network, input });
    const volumes = devices.map((device) =>
      createVolume({ device, instanceId: id, zone: nic.zone, now, tags: tagsFor(input, 'volume') }),
    );
    for (const volume of volumes) state.volumes[volume.id] = volume;
    const instance: Instance = {
      ...common,
      id,
      reservationId,
      launchIndex,
      idempotency,
      volumeIds: volumes.map((volume) => volume.id),
      interface: nic,
      tags: tagsFor(input, 'instance'),
      launchedAt: now,
    };
    state.instances[id] = instance;
    return instance;
  });
}

function readCommon({
  desk,
  input,
  image,
}: {
  desk: Ec2Desk;
  input: RunInput;
  image: MachineImage;
}): Omit<
  Instance,
  'id' | 'reservationId' | 'launchIndex' | 'idempotency' | 'volumeIds' | 'interface' | 'tags' | 'launchedAt'
> {
  const profile = readProfile(desk, input);
  const isImdsV2 = image.imdsSupport === 'v2.0';
  return {
    state: 'pending',
    stateReason: null,
    imageId: image.id,
    instanceType: input.InstanceType,
    bootMode: image.bootMode,
    tpmSupport: image.tpmSupport,
    enaSupport: image.enaSupport,
    platform: image.platform,
    rootDeviceName: image.rootDeviceName,
    keyName: null,
    userData: input.UserData ?? null,
    profileArn: profile?.arn ?? null,
    profileId: profile?.id ?? null,
    ebsOptimized: input.EbsOptimized ?? false,
    monitoring: input.Monitoring?.Enabled ?? false,
    sourceDestCheck: true,
    disableApiTermination: input.DisableApiTermination ?? false,
    disableApiStop: input.DisableApiStop ?? false,
    shutdownBehavior: readShutdownBehavior(input.InstanceInitiatedShutdownBehavior ?? 'stop'),
    metadata: {
      httpTokens: input.MetadataOptions?.HttpTokens ?? (isImdsV2 ? 'required' : 'optional'),
      hopLimit: input.MetadataOptions?.HttpPutResponseHopLimit ?? (isImdsV2 ? 2 : 1),
      httpEndpoint: input.MetadataOptions?.HttpEndpoint ?? 'enabled',
      instanceTags: input.MetadataOptions?.InstanceMetadataTags ?? 'disabled',
    },
    endedAt: null,
  };
}

export function readShutdownBehavior(value: string): 'stop' | 'terminate' {
  if (value === 'stop' || value === 'terminate') return value;
  throw invalidValue('instanceInitiatedShutdownBehavior', value);
}

function readProfile({ roles }: Ec2Desk, { IamInstanceProfile: given }: RunInput) {
  const name = given?.Arn ?? given?.Name;
  if (name === undefined) return null;
  const profile = roles.findInstanceProfile(name);
  if (profile !== null) return profile;
  const field = given?.Arn === undefined ? 'name' : 'arn';
  throw refuse(
    'InvalidParameterValue',
    `Value (${name}) for parameter iamInstanceProfile.${field} is invalid. Invalid IAM Instance Profile ${field === 'arn' ? 'ARN' : 'name'}`,
  );
}
