/** The network around the instances: VPCs, subnets, interfaces; regions and zones. */

import { parseBlock, RESERVED_ADDRESSES } from '../ipv4.ts';
import { booleanParameter, textParameter } from '../query-form.ts';
import { defineEc2Action, type QueryActions } from '../query-protocol.ts';
import type { XmlObject } from '../xml.ts';
import type { Ec2Desk } from './cloud.ts';
import { usedAddresses } from './instance-network.ts';
import { describeGroupNames } from './instance-xml.ts';
import { ZONE_LETTERS, zoneIdOf } from './network-seed.ts';
import { cutPage, filterMembers, filterParameters, idsParameter, pageParameters } from './query.ts';
import { notFound, refuse, requireMember } from './refusals.ts';
import { type Instance, isLive } from './state.ts';
import { describeTags } from './tags.ts';

export function networkActions(desk: Ec2Desk): QueryActions {
  return {
    DescribeVpcs: describeVpcs(desk),
    DescribeSubnets: describeSubnets(desk),
    DescribeNetworkInterfaces: describeNetworkInterfaces(desk),
    DescribeRegions: describeRegions(desk),
    DescribeAvailabilityZones: describeAvailabilityZones(desk),
    GetEbsEncryptionByDefault: defineEc2Action({}, () => ({
      ebsEncryptionByDefault: false,
      sseType: 'none',
    })),
  };
}

function describeVpcs({ store, accountId }: Ec2Desk) {
  return defineEc2Action({ VpcId: idsParameter, ...filterParameters, ...pageParameters }, (input) => {
    const { vpcs } = store.read();
    const members = input.VpcId?.map((id) => requireMember({ members: vpcs, kind: 'vpc', id }));
    const page = cutPage({
      members: filterMembers({
        members: members ?? Object.values(vpcs),
        filters: input.Filter,
        tags: (vpc) => vpc.tags,
        fields: {
          'vpc-id': (vpc) => vpc.id,
          cidr: (vpc) => vpc.cidr,
          'cidr-block': (vpc) => vpc.cidr,
          'is-default': (vpc) => String(vpc.isDefault),
          isDefault: (vpc) => String(vpc.isDefault),
          state: () => 'available',
          'owner-id': () => accountId,
        },
      }),
      orderOf: (vpc) => vpc.id,
      maxResults: input.MaxResults,
      nextToken: input.NextToken,
    });
    const vpcSet = page.members.map((vpc) => ({
      vpcId: vpc.id,
      ownerId: accountId,
      state: 'available',
      cidrBlock: vpc.cidr,
      dhcpOptionsId: 'dopt-0de0000000000001',
      instanceTenancy: 'default',
      isDefault: vpc.isDefault,
      tagSet: describeTags(vpc.tags),
    }));
    return { vpcSet, nextToken: page.nextToken };
  });
}

function describeSubnets({ store, accountId, region }: Ec2Desk) {
  return defineEc2Action({ SubnetId: idsParameter, ...filterParameters, ...pageParameters }, (input) => {
    const state = store.read();
    const members = input.SubnetId?.map((id) =>
      requireMember({ members: state.subnets, kind: 'subnet', id }),
    );
    const page = cutPage({
      members: filterMembers({
        members: members ?? Object.values(state.subnets),
        filters: input.Filter,
        tags: (subnet) => subnet.tags,
        fields: {
          'subnet-id': (subnet) => subnet.id,
          'vpc-id': (subnet) => subnet.vpcId,
          'availability-zone': (subnet) => subnet.zone,
          'availability-zone-id': (subnet) => subnet.zoneId,
          'cidr-block': (subnet) => subnet.cidr,
          'default-for-az': (subnet) => String(subnet.isDefault),
          state: () => 'available',
          'owner-id': () => accountId,
        },
      }),
      orderOf: (subnet) => subnet.id,
      maxResults: input.MaxResults,
      nextToken: input.NextToken,
    });
    const subnetSet = page.members.map((subnet) => ({
      subnetId: subnet.id,
      subnetArn: `arn:aws:ec2:${region}:${accountId}:subnet/${subnet.id}`,
      state: 'available',
      ownerId: accountId,
      vpcId: subnet.vpcId,
      cidrBlock: subnet.cidr,
      availableIpAddressCount:
        (parseBlock(subnet.cidr)?.size ?? 0) - RESERVED_ADDRESSES - usedAddresses(state, subnet.id).size,
      availabilityZone: subnet.zone,
      availabilityZoneId: subnet.zoneId,
      defaultForAz: subnet.isDefault,
      mapPublicIpOnLaunch: false,
      assignIpv6AddressOnCreation: false,
      tagSet: describeTags(subnet.tags),
    }));
    return { subnetSet, nextToken: page.nextToken };
  });
}

function describeNetworkInterfaces({ store, accountId }: Ec2Desk) {
  return defineEc2Action(
    { NetworkInterfaceId: idsParameter, ...filterParameters, ...pageParameters },
    (input) => {
      const state = store.read();
      const owners = Object.values(state.instances).filter(isLive);
      const members = input.NetworkInterfaceId?.map((id) => {
        const owner = owners.find((instance) => instance.interface.id === id);
        if (owner === undefined) throw notFound('interface', id);
        return owner;
      });
      const page = cutPage({
        members: filterMembers({
          members: members ?? owners,
          filters: input.Filter,
          tags: (owner) => owner.interface.tags,
          fields: {
            'network-interface-id': (owner) => owner.interface.id,
            'attachment.instance-id': (owner) => owner.id,
            'subnet-id': (owner) => owner.interface.subnetId,
            'vpc-id': (owner) => owner.interface.vpcId,
            'availability-zone': (owner) => owner.interface.zone,
            'group-id': (owner) => owner.interface.groupIds,
            'private-ip-address': (owner) => owner.interface.privateIp,
            'addresses.private-ip-address': (owner) => owner.interface.privateIp,
            status: () => 'in-use',
          },
        }),
        orderOf: (owner) => owner.interface.id,
        maxResults: input.MaxResults,
        nextToken: input.NextToken,
      });
      const describe = (owner: Instance): XmlObject => {
        const groupSet = describeGroupNames(state, owner.interface.groupIds);
        return { ...describeInterface(owner, accountId), groupSet };
      };
      return { networkInterfaceSet: page.members.map(describe), nextToken: page.nextToken };
    },
  );
}

function describeInterface({ id, launchedAt, sourceDestCheck, interface: nic }: Instance, accountId: string) {
  return {
    networkInterfaceId: nic.id,
    subnetId: nic.subnetId,
    vpcId: nic.vpcId,
    availabilityZone: nic.zone,
    description: nic.description,
    ownerId: accountId,
    requesterManaged: false,
    status: 'in-use',
    macAddress: nic.mac,
    interfaceType: 'interface',
    privateIpAddress: nic.privateIp,
    sourceDestCheck,
    attachment: {
      attachmentId: nic.attachmentId,
      instanceId: id,
      instanceOwnerId: accountId,
      deviceIndex: 0,
      status: 'attached',
      attachTime: new Date(launchedAt),
      deleteOnTermination: true,
    },
    privateIpAddressesSet: [{ privateIpAddress: nic.privateIp, primary: true }],
    tagSet: describeTags(nic.tags),
  };
}

function describeRegions({ region }: Ec2Desk) {
  return defineEc2Action(
    { RegionName: idsParameter, AllRegions: booleanParameter.optional(), ...filterParameters },
    (input) => {
      const stranger = input.RegionName?.find((name) => name !== region);
      if (stranger !== undefined) {
        throw refuse('InvalidParameterValue', `Invalid region '${stranger}' provided.`);
      }
      const members = filterMembers({
        members: [region],
        filters: input.Filter,
        tags: null,
        fields: { 'region-name': (name) => name, 'opt-in-status': () => 'opt-in-not-required' },
      });
      const regionInfo = members.map((name) => ({
        regionName: name,
        regionEndpoint: `ec2.${name}.amazonaws.com`,
        optInStatus: 'opt-in-not-required',
      }));
      return { regionInfo };
    },
  );
}

function describeAvailabilityZones({ region }: Ec2Desk) {
  return defineEc2Action(
    {
      ZoneName: idsParameter,
      ZoneId: idsParameter,
      AllAvailabilityZones: textParameter.optional(),
      ...filterParameters,
    },
    (input) => {
      const zones = ZONE_LETTERS.map((letter) => `${region}${letter}`).map((name) => ({
        name,
        id: zoneIdOf(name, region),
      }));
      const asked = [...(input.ZoneName ?? []), ...(input.ZoneId ?? [])];
      const stranger = asked.find((given) => !zones.some(({ name, id }) => given === name || given === id));
      if (stranger !== undefined) {
        throw refuse('InvalidParameterValue', `Invalid availability zone: [${stranger}]`);
      }
      const members = filterMembers({
        members: zones.filter(
          ({ name, id }) => asked.length === 0 || asked.includes(name) || asked.includes(id),
        ),
        filters: input.Filter,
        tags: null,
        fields: {
          'zone-name': (zone) => zone.name,
          'zone-id': (zone) => zone.id,
          'region-name': () => region,
          state: () => 'available',
          'zone-type': () => 'availability-zone',
        },
      });
      const availabilityZoneInfo = members.map(({ name, id }) => ({
        zoneName: name,
        zoneId: id,
        zoneState: 'available',
        regionName: region,
        groupName: region,
        networkBorderGroup: region,
        zoneType: 'availability-zone',
        optInStatus: 'opt-in-not-required',
      }));
      return { availabilityZoneInfo };
    },
  );
}
