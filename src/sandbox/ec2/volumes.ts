/** Volumes: an instance's disks, and those that outlived theirs. */
import { rm } from 'node:fs/promises';
import { textParameter } from '../query-form.ts';
import { defineEc2Action, type QueryActions } from '../query-protocol.ts';
import type { XmlObject } from '../xml.ts';
import type { Ec2Cloud, Ec2Desk } from './cloud.ts';
import {
  cutPage,
  filterMembers,
  filterParameters,
  idsParameter,
  orderByCreation,
  pageParameters,
} from './query.ts';
import { refuse, requireMember } from './refusals.ts';
import { collectSnapshotFile } from './snapshots.ts';
import type { Volume } from './state.ts';
import { describeTags } from './tags.ts';

export function volumeActions(desk: Ec2Desk): QueryActions {
  return { DescribeVolumes: describeVolumes(desk), DeleteVolume: deleteVolume(desk) };
}

function describeVolumes({ store }: Ec2Desk) {
  return defineEc2Action({ VolumeId: idsParameter, ...filterParameters, ...pageParameters }, (input) => {
    const { volumes } = store.read();
    const named = input.VolumeId?.map((id) => requireMember({ members: volumes, kind: 'volume', id }));
    const page = cutPage({
      members: filterMembers({
        members: named ?? Object.values(volumes),
        filters: input.Filter,
        tags: (volume) => volume.tags,
        fields: {
          'volume-id': (volume) => volume.id,
          status: stateOf,
          size: (volume) => String(volume.sizeGib),
          'snapshot-id': (volume) => volume.snapshotId,
          'volume-type': (volume) => volume.volumeType,
          'availability-zone': (volume) => volume.zone,
          encrypted: (volume) => String(volume.encrypted),
          'attachment.instance-id': (volume) => volume.attachment?.instanceId,
          'attachment.device': (volume) => volume.attachment?.deviceName,
          'attachment.delete-on-termination': (volume) =>
            volume.attachment === null ? null : String(volume.attachment.deleteOnTermination),
        },
      }),
      orderOf: orderByCreation,
      maxResults: input.MaxResults,
      nextToken: input.NextToken,
    });
    return { volumeSet: page.members.map(describeVolume), nextToken: page.nextToken };
  });
}

function deleteVolume(desk: Ec2Desk) {
  return defineEc2Action({ VolumeId: textParameter }, async ({ VolumeId: id }) => {
    const volume = await desk.store.update((state) => {
      const doomed = requireMember({ members: state.volumes, kind: 'volume', id });
      if (doomed.attachment !== null) {
        throw refuse('VolumeInUse', `Volume ${id} is currently attached to ${doomed.attachment.instanceId}`);
      }
      delete state.volumes[id];
      return doomed;
    });
    await removeVolumeFile(desk, volume);
    return { return: true };
  });
}

/** For volumes whose record is gone already. */
export async function removeVolumeFile(cloud: Ec2Cloud, { id, snapshotId }: Volume): Promise<void> {
  await rm(cloud.files.volume(id), { force: true });
  if (snapshotId !== null) await collectSnapshotFile(cloud, snapshotId);
}

function stateOf({ attachment }: Volume): string {
  return attachment === null ? 'available' : 'in-use';
}

function describeVolume(volume: Volume): XmlObject {
  const { attachment } = volume;
  const attachmentSet =
    attachment === null
      ? []
      : [
          {
            volumeId: volume.id,
            instanceId: attachment.instanceId,
            device: attachment.deviceName,
            status: 'attached',
            attachTime: new Date(attachment.attachedAt),
            deleteOnTermination: attachment.deleteOnTermination,
          },
        ];
  return {
    volumeId: volume.id,
    size: volume.sizeGib,
    snapshotId: volume.snapshotId ?? '',
    availabilityZone: volume.zone,
    status: stateOf(volume),
    createTime: new Date(volume.createdAt),
    attachmentSet,
    volumeType: volume.volumeType,
    iops: volume.iops,
    throughput: volume.throughput,
    encrypted: volume.encrypted,
    kmsKeyId: volume.kmsKeyId,
    multiAttachEnabled: false,
    tagSet: describeTags(volume.tags),
  };
}
