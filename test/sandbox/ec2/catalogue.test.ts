import {
  AuthorizeSecurityGroupEgressCommand,
  AuthorizeSecurityGroupIngressCommand,
  CreateSecurityGroupCommand,
  CreateTagsCommand,
  DeleteSecurityGroupCommand,
  DeleteTagsCommand,
  DeregisterImageCommand,
  DescribeAvailabilityZonesCommand,
  DescribeImagesCommand,
  DescribeInstanceTypeOfferingsCommand,
  DescribeInstanceTypesCommand,
  DescribeRegionsCommand,
  DescribeSecurityGroupsCommand,
  DescribeSnapshotsCommand,
  DescribeSubnetsCommand,
  DescribeTagsCommand,
  DescribeVolumesCommand,
  DescribeVpcsCommand,
  GetEbsEncryptionByDefaultCommand,
  RevokeSecurityGroupEgressCommand,
} from '@aws-sdk/client-ec2';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type BenchCloud,
  DB,
  makeImage,
  makeSnapshot,
  openBenchCloud,
  REGION,
  refusalOf,
  SUBNET,
  WEB,
} from './bench-cloud.ts';

let cloud: BenchCloud;
let snapshotId: string;
const DISK = Buffer.alloc(1024 * 1024, 7);

beforeAll(async () => {
  cloud = await openBenchCloud();
  snapshotId = await makeSnapshot(cloud, DISK);
});
afterAll(async () => await cloud?.[Symbol.asyncDispose]());

/** A request as no SDK would send it. */
async function post(form: Record<string, string>): Promise<{ status: number; xml: string }> {
  const response = await fetch(`http://127.0.0.1:${cloud.port}/`, {
    method: 'POST',
    body: new URLSearchParams({ Version: '2016-11-15', ...form }),
  });
  return { status: response.status, xml: await response.text() };
}

describe('every action', () => {
  it('is strict about its name and its parameters', async () => {
    expect((await post({ Action: 'BuyReservedInstances' })).xml).toContain('<Code>InvalidAction</Code>');
    const unknown = await post({ Action: 'DescribeVpcs', Colour: 'blue' });
    expect(unknown.status).toBe(400);
    expect(unknown.xml).toContain(
      '<Code>UnknownParameter</Code><Message>The parameter Colour is not recognized</Message>',
    );
    expect((await post({ Action: 'DeleteVolume' })).xml).toContain(
      '<Code>MissingParameter</Code><Message>The request must contain the parameter VolumeId</Message>',
    );
    expect((await post({ Action: 'DescribeVpcs', DryRun: 'true' })).xml).toContain(
      '<Code>DryRunOperation</Code>',
    );
    expect((await post({ Action: 'DescribeVpcs', 'Filter.1.Name': 'colour' })).xml).toContain(
      'The filter &apos;colour&apos; is invalid',
    );
    expect((await post({ Action: 'DescribeVpcs', MaxResults: '2' })).xml).toContain(
      'Expecting a value greater than 5',
    );
    expect((await post({ Action: 'DescribeVpcs', NextToken: 'x' })).xml).toContain('InvalidPaginationToken');
  });
});

describe('the account', () => {
  it('starts with a default VPC, a subnet in each zone and groups of fixed ids', async () => {
    const { Subnets = [] } = await cloud.client.send(new DescribeSubnetsCommand({}));
    expect(Subnets.map(({ SubnetId, AvailabilityZone }) => [SubnetId, AvailabilityZone])).toEqual([
      [SUBNET, `${REGION}a`],
      ['subnet-0de0000000000002', `${REGION}b`],
      ['subnet-0de0000000000003', `${REGION}c`],
    ]);
    expect(Subnets[0]).toMatchObject({ CidrBlock: '172.31.0.0/20', AvailableIpAddressCount: 4091 });
    const { Vpcs } = await cloud.client.send(
      new DescribeVpcsCommand({ Filters: [{ Name: 'is-default', Values: ['true'] }] }),
    );
    expect(Vpcs).toMatchObject([{ CidrBlock: '172.31.0.0/16', IsDefault: true }]);
    const { SecurityGroups } = await cloud.client.send(
      new DescribeSecurityGroupsCommand({ GroupIds: [WEB, DB] }),
    );
    expect(SecurityGroups).toMatchObject([{ GroupName: 'web' }, { GroupName: 'db' }]);
    expect(SecurityGroups?.[0]?.IpPermissions).toMatchObject([{ FromPort: 80 }, { FromPort: 443 }]);
    expect(SecurityGroups?.[0]?.IpPermissionsEgress).toMatchObject([
      { IpProtocol: '-1', IpRanges: [{ CidrIp: '0.0.0.0/0' }] },
    ]);
    const { Regions } = await cloud.client.send(new DescribeRegionsCommand({}));
    expect(Regions?.map(({ RegionName }) => RegionName)).toEqual([REGION]);
    const { AvailabilityZones } = await cloud.client.send(new DescribeAvailabilityZonesCommand({}));
    expect(AvailabilityZones?.map(({ ZoneId }) => ZoneId)).toEqual(['use1-az1', 'use1-az2', 'use1-az3']);
    const { EbsEncryptionByDefault } = await cloud.client.send(new GetEbsEncryptionByDefaultCommand({}));
    expect(EbsEncryptionByDefault).toBe(false);
  });

  it('knows instance types and where they are offered', async () => {
    const { InstanceTypes } = await cloud.client.send(
      new DescribeInstanceTypesCommand({ InstanceTypes: ['m6i.large'] }),
    );
    expect(InstanceTypes).toMatchObject([
      {
        VCpuInfo: { DefaultVCpus: 2 },
        MemoryInfo: { SizeInMiB: 8192 },
        SupportedBootModes: ['legacy-bios', 'uefi'],
      },
    ]);
    const none = cloud.client.send(
      new DescribeInstanceTypesCommand({ InstanceTypes: ['z9.huge' as 'm6i.large'] }),
    );
    expect((await refusalOf(none)).code).toBe('InvalidInstanceType');
    const { InstanceTypeOfferings } = await cloud.client.send(
      new DescribeInstanceTypeOfferingsCommand({
        LocationType: 'availability-zone',
        Filters: [{ Name: 'instance-type', Values: ['t3.m*'] }],
      }),
    );
    expect(InstanceTypeOfferings).toHaveLength(6);
  });
});

describe('security groups', () => {
  it('begin open to go out; a quarantine group revokes that', async () => {
    const { GroupId = '', Tags } = await cloud.client.send(
      new CreateSecurityGroupCommand({
        GroupName: 'quarantine',
        Description: 'no way in or out',
        TagSpecifications: [{ ResourceType: 'security-group', Tags: [{ Key: 'landfall:run', Value: 'r1' }] }],
      }),
    );
    expect(Tags).toEqual([{ Key: 'landfall:run', Value: 'r1' }]);
    const all = [{ IpProtocol: '-1', IpRanges: [{ CidrIp: '0.0.0.0/0' }] }];
    const revoke = () =>
      cloud.client.send(new RevokeSecurityGroupEgressCommand({ GroupId, IpPermissions: all }));
    await revoke();
    const { SecurityGroups } = await cloud.client.send(
      new DescribeSecurityGroupsCommand({ Filters: [{ Name: 'tag:landfall:run', Values: ['r1'] }] }),
    );
    expect(SecurityGroups).toMatchObject([{ GroupId, IpPermissions: [], IpPermissionsEgress: [] }]);
    expect((await refusalOf(revoke())).code).toBe('InvalidPermission.NotFound');
    const twin = new CreateSecurityGroupCommand({ GroupName: 'quarantine', Description: 'again' });
    expect((await refusalOf(cloud.client.send(twin))).code).toBe('InvalidGroup.Duplicate');
    await cloud.client.send(new AuthorizeSecurityGroupEgressCommand({ GroupId, IpPermissions: all }));
    const ingress = () =>
      cloud.client.send(
        new AuthorizeSecurityGroupIngressCommand({
          GroupId,
          IpPermissions: [
            { IpProtocol: 'tcp', FromPort: 22, ToPort: 22, UserIdGroupPairs: [{ GroupId: WEB }] },
          ],
        }),
      );
    await ingress();
    expect((await refusalOf(ingress())).code).toBe('InvalidPermission.Duplicate');
    const used = new DeleteSecurityGroupCommand({ GroupId: WEB });
    expect((await refusalOf(cloud.client.send(used))).code).toBe('DependencyViolation');
    await cloud.client.send(new DeleteSecurityGroupCommand({ GroupId }));
    const gone = new DescribeSecurityGroupsCommand({ GroupIds: [GroupId] });
    expect(await refusalOf(cloud.client.send(gone))).toEqual({
      code: 'InvalidGroup.NotFound',
      message: `The security group '${GroupId}' does not exist`,
    });
  });
});

describe('tags', () => {
  it('are put on, found by filter, and taken off', async () => {
    const tag = (Tags: { Key: string; Value: string }[]) =>
      cloud.client.send(new CreateTagsCommand({ Resources: [snapshotId], Tags }));
    await tag([
      { Key: 'landfall:run', Value: 'r7' },
      { Key: 'landfall:machine', Value: 'shop-db' },
    ]);
    const find = async (Name: string, Value: string) => {
      const { Snapshots } = await cloud.client.send(
        new DescribeSnapshotsCommand({ OwnerIds: ['self'], Filters: [{ Name, Values: [Value] }] }),
      );
      return Snapshots?.map(({ SnapshotId }) => SnapshotId);
    };
    expect(await find('tag:landfall:run', 'r7')).toEqual([snapshotId]);
    expect(await find('tag:landfall:run', 'r*')).toEqual([snapshotId]);
    expect(await find('tag:landfall:run', 'r')).toEqual([]);
    expect(await find('tag-key', 'landfall:machine')).toEqual([snapshotId]);
    const { Tags } = await cloud.client.send(
      new DescribeTagsCommand({ Filters: [{ Name: 'tag:landfall:run', Values: ['r7'] }] }),
    );
    expect(Tags).toEqual([
      { Key: 'landfall:run', Value: 'r7', ResourceId: snapshotId, ResourceType: 'snapshot' },
    ]);
    expect((await refusalOf(tag([{ Key: 'aws:mine', Value: '' }]))).code).toBe('InvalidParameterValue');
    const many = Array.from({ length: 49 }, (_, index) => ({ Key: `key-${index}`, Value: '' }));
    expect((await refusalOf(tag(many))).code).toBe('TagLimitExceeded');
    const untag = (Tags: { Key: string; Value?: string }[]) =>
      cloud.client.send(new DeleteTagsCommand({ Resources: [snapshotId], Tags }));
    await untag([{ Key: 'landfall:run', Value: 'another' }]);
    expect(await find('tag:landfall:run', 'r7')).toEqual([snapshotId]);
    await untag([{ Key: 'landfall:run' }]);
    expect(await find('tag:landfall:run', 'r7')).toEqual([]);
    const nobody = new CreateTagsCommand({
      Resources: ['vol-00000000000000000'],
      Tags: [{ Key: 'a', Value: 'b' }],
    });
    expect((await refusalOf(cloud.client.send(nobody))).code).toBe('InvalidVolume.NotFound');
  });
});

describe('RegisterImage', () => {
  it('keeps what it was told, and has AWS’s defaults for the rest', async () => {
    const told = await makeImage(cloud, DISK, {
      Name: 'landfall-web',
      BootMode: 'uefi',
      TpmSupport: 'v2.0',
      ImdsSupport: 'v2.0',
      TagSpecifications: [{ ResourceType: 'image', Tags: [{ Key: 'a', Value: 'b' }] }],
    });
    const bare = await makeImage(cloud, DISK, {
      VirtualizationType: undefined,
      Architecture: undefined,
      EnaSupport: undefined,
    });
    const { Images = [] } = await cloud.client.send(new DescribeImagesCommand({ ImageIds: [told, bare] }));
    expect(Images[0]).toMatchObject({
      Name: 'landfall-web',
      BootMode: 'uefi',
      TpmSupport: 'v2.0',
      ImdsSupport: 'v2.0',
      EnaSupport: true,
      State: 'available',
      RootDeviceName: '/dev/sda1',
      Tags: [{ Key: 'a', Value: 'b' }],
      BlockDeviceMappings: [
        { DeviceName: '/dev/sda1', Ebs: { VolumeType: 'gp3', VolumeSize: 1, DeleteOnTermination: true } },
      ],
    });
    expect(Images[1]).toMatchObject({
      VirtualizationType: 'paravirtual',
      Architecture: 'i386',
      EnaSupport: false,
    });
    expect(await refusalOf(makeImage(cloud, DISK, { Name: 'landfall-web' }))).toEqual({
      code: 'InvalidAMIName.Duplicate',
      message: `AMI name landfall-web is already in use by AMI ${told}`,
    });
    const { Images: byName } = await cloud.client.send(
      new DescribeImagesCommand({ Owners: ['self'], Filters: [{ Name: 'name', Values: ['landfall-web'] }] }),
    );
    expect(byName?.map(({ ImageId }) => ImageId)).toEqual([told]);
    const { DeleteSnapshotResults } = await cloud.client.send(
      new DeregisterImageCommand({ ImageId: told, DeleteAssociatedSnapshots: true }),
    );
    expect(DeleteSnapshotResults).toMatchObject([{ ReturnCode: 'success' }]);
    expect((await refusalOf(cloud.client.send(new DescribeImagesCommand({ ImageIds: [told] })))).code).toBe(
      'InvalidAMIID.NotFound',
    );
  });

  it('refuses what does not fit together', async () => {
    const mapping = (Ebs: object) => ({ BlockDeviceMappings: [{ DeviceName: '/dev/sda1', Ebs }] });
    const refused = async (changes: object) => await refusalOf(makeImage(cloud, DISK, changes));
    expect((await refused({ Name: 'a' })).code).toBe('InvalidAMIName.Malformed');
    expect((await refused({ TpmSupport: 'v2.0' })).code).toBe('InvalidParameterCombination');
    expect((await refused({ BootMode: 'floppy' })).code).toBe('InvalidParameterValue');
    expect((await refused({ RootDeviceName: '/dev/xvda' })).code).toBe('InvalidBlockDeviceMapping');
    expect((await refused(mapping({ SnapshotId: snapshotId, Encrypted: true }))).message).toContain(
      'cannot specify the encrypted flag',
    );
    expect((await refused(mapping({ SnapshotId: 'snap-00000000000000000' }))).code).toBe(
      'InvalidSnapshot.NotFound',
    );
    expect((await refused(mapping({ SnapshotId: snapshotId, VolumeType: 'gp9' }))).code).toBe(
      'InvalidParameterValue',
    );
    const alien = { TagSpecifications: [{ ResourceType: 'instance', Tags: [{ Key: 'a', Value: 'b' }] }] };
    expect((await refused(alien)).message).toBe(
      "'instance' is not a valid taggable resource type for this operation.",
    );
  });
});

describe('ids', () => {
  it('that are no ids are told from ids of nothing', async () => {
    const volume = (id: string) =>
      refusalOf(cloud.client.send(new DescribeVolumesCommand({ VolumeIds: [id] })));
    expect(await volume('disk-1')).toEqual({
      code: 'InvalidParameterValue',
      message: "Value (disk-1) for parameter volumeId is invalid. Expected: 'vol-...'.",
    });
    expect(await volume('vol-00000000000000000')).toEqual({
      code: 'InvalidVolume.NotFound',
      message: "The volume 'vol-00000000000000000' does not exist.",
    });
  });
});
