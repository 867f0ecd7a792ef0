/** All that stands at the target, asked with the vendor's own clients. */
import {
  DescribeImagesCommand,
  DescribeInstancesCommand,
  DescribeSecurityGroupsCommand,
  DescribeSnapshotsCommand,
  DescribeVolumesCommand,
} from '@aws-sdk/client-ec2';
import { ListMultipartUploadsCommand, ListObjectsV2Command } from '@aws-sdk/client-s3';
import { BUCKET, type Ground } from './ground.ts';

/** Ids and keys: those under the run's tag or prefix, or everything. */
export async function holdingsOf({ ec2, s3 }: Ground, run: string | null = null): Promise<string[]> {
  const Filters = run === null ? [] : [{ Name: 'tag:landfall:run', Values: [run] }];
  const living = {
    Name: 'instance-state-name',
    Values: ['pending', 'running', 'shutting-down', 'stopping', 'stopped'],
  };
  const inBucket = { Bucket: BUCKET, Prefix: run === null ? '' : `landfall/${run}/` };
  const { Reservations = [] } = await ec2.send(
    new DescribeInstancesCommand({ Filters: [...Filters, living] }),
  );
  const { Images = [] } = await ec2.send(new DescribeImagesCommand({ Owners: ['self'], Filters }));
  const { Snapshots = [] } = await ec2.send(new DescribeSnapshotsCommand({ OwnerIds: ['self'], Filters }));
  const { Volumes = [] } = await ec2.send(new DescribeVolumesCommand({ Filters }));
  const { SecurityGroups = [] } = await ec2.send(new DescribeSecurityGroupsCommand({ Filters }));
  const { Contents = [] } = await s3.send(new ListObjectsV2Command(inBucket));
  const { Uploads = [] } = await s3.send(new ListMultipartUploadsCommand(inBucket));
  const ids = [
    ...Reservations.flatMap(({ Instances = [] }) => Instances.map(({ InstanceId }) => InstanceId)),
    ...Images.map(({ ImageId }) => ImageId),
    ...Snapshots.map(({ SnapshotId }) => SnapshotId),
    ...Volumes.map(({ VolumeId }) => VolumeId),
    ...SecurityGroups.map(({ GroupId }) => GroupId),
    ...[...Contents, ...Uploads].map(({ Key }) => Key),
  ];
  return ids.flatMap((id) => id ?? []);
}
