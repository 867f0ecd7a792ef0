/** Security groups. Nothing flows through them here: guests have no network. They are kept, checked and swapped. */
import { textParameter } from '../query-form.ts';
import { defineEc2Action, type QueryActions } from '../query-protocol.ts';
import type { Ec2Desk } from './cloud.ts';
import { allowAllEgress } from './network-seed.ts';
import {
  cutPage,
  filterMembers,
  filterParameters,
  idsParameter,
  orderByCreation,
  pageParameters,
} from './query.ts';
import { missing, newId, refuse, requireMember } from './refusals.ts';
import {
  describePermissions,
  describeRule,
  isSameRule,
  nameRule,
  type PermissionInput,
  permissionParameters,
  readRules,
} from './security-group-rules.ts';
import { type Ec2State, isLive, type SecurityGroup, type SecurityGroupRule } from './state.ts';
import { describeTags, tagSpecificationParameters, takeTags } from './tags.ts';

const MAX_NAME_LENGTH = 255;

export function securityGroupActions(desk: Ec2Desk): QueryActions {
  return {
    CreateSecurityGroup: createSecurityGroup(desk),
    DeleteSecurityGroup: deleteSecurityGroup(desk),
    DescribeSecurityGroups: describeSecurityGroups(desk),
    DescribeSecurityGroupRules: describeSecurityGroupRules(desk),
    AuthorizeSecurityGroupIngress: authorize(desk, false),
    AuthorizeSecurityGroupEgress: authorize(desk, true),
    RevokeSecurityGroupIngress: revoke(desk, false),
    RevokeSecurityGroupEgress: revoke(desk, true),
  };
}

function createSecurityGroup({ store, clock, accountId, region }: Ec2Desk) {
  return defineEc2Action(
    {
      GroupName: textParameter,
      GroupDescription: textParameter,
      VpcId: textParameter.optional(),
      ...tagSpecificationParameters,
    },
    async ({ GroupName: name, GroupDescription: description, VpcId, TagSpecification }) => {
      checkNames(name, description);
      const tags = takeTags({
        specifications: TagSpecification,
        type: 'security-group',
        allowed: ['security-group'],
      });
      const group = await store.update((state) => {
        const vpcId = VpcId ?? defaultVpc(state);
        requireMember({ members: state.vpcs, kind: 'vpc', id: vpcId });
        const isTaken = Object.values(state.groups).some(
          (other) => other.vpcId === vpcId && other.name === name,
        );
        if (isTaken) {
          throw refuse(
            'InvalidGroup.Duplicate',
            `The security group '${name}' already exists for VPC '${vpcId}'`,
          );
        }
        const created: SecurityGroup = {
          id: newId('group'),
          name,
          description,
          vpcId,
          rules: [allowAllEgress()],
          tags,
          createdAt: clock.now(),
        };
        state.groups[created.id] = created;
        return created;
      });
      return {
        return: true,
        groupId: group.id,
        securityGroupArn: `arn:aws:ec2:${region}:${accountId}:security-group/${group.id}`,
        tagSet: describeTags(group.tags),
      };
    },
  );
}

function deleteSecurityGroup({ store }: Ec2Desk) {
  return defineEc2Action(
    { GroupId: textParameter.optional(), GroupName: textParameter.optional() },
    async ({ GroupId, GroupName }) => {
      const id = await store.update((state) => {
        const group = findGroup(state, GroupId, GroupName);
        if (group.name === 'default') {
          throw refuse(
            'CannotDelete',
            `the specified group: "${group.id}" name: "default" cannot be deleted by a user`,
          );
        }
        if (isGroupUsed(state, group.id)) {
          throw refuse('DependencyViolation', `resource ${group.id} has a dependent object`);
        }
        delete state.groups[group.id];
        return group.id;
      });
      return { return: true, groupId: id };
    },
  );
}

function describeSecurityGroups({ store, accountId, region }: Ec2Desk) {
  return defineEc2Action(
    { GroupId: idsParameter, GroupName: idsParameter, ...filterParameters, ...pageParameters },
    (input) => {
      const { groups } = store.read();
      const byId = input.GroupId?.map((id) => requireMember({ members: groups, kind: 'group', id }));
      const byName = input.GroupName?.map((name) => requireGroupByName(groups, name));
      const page = cutPage({
        members: filterMembers({
          members: byId ?? byName ?? Object.values(groups),
          filters: input.Filter,
          tags: (group) => group.tags,
          fields: {
            'group-id': (group) => group.id,
            'group-name': (group) => group.name,
            description: (group) => group.description,
            'vpc-id': (group) => group.vpcId,
            'owner-id': () => accountId,
          },
        }),
        orderOf: orderByCreation,
        maxResults: input.MaxResults,
        nextToken: input.NextToken,
      });
      const securityGroupInfo = page.members.map((group) => ({
        groupId: group.id,
        groupName: group.name,
        groupDescription: group.description,
        ownerId: accountId,
        vpcId: group.vpcId,
        securityGroupArn: `arn:aws:ec2:${region}:${accountId}:security-group/${group.id}`,
        ipPermissions: describePermissions(
          group.rules.filter((rule) => !rule.isEgress),
          accountId,
        ),
        ipPermissionsEgress: describePermissions(
          group.rules.filter((rule) => rule.isEgress),
          accountId,
        ),
        tagSet: describeTags(group.tags),
      }));
      return { securityGroupInfo, nextToken: page.nextToken };
    },
  );
}

function describeSecurityGroupRules({ store, accountId }: Ec2Desk) {
  return defineEc2Action(
    { SecurityGroupRuleId: idsParameter, ...filterParameters, ...pageParameters },
    (input) => {
      const all = Object.values(store.read().groups).flatMap((group) =>
        group.rules.map((rule) => ({ rule, groupId: group.id })),
      );
      const members = input.SecurityGroupRuleId?.map((id) => {
        const entry = all.find(({ rule }) => rule.id === id);
        if (entry !== undefined) return entry;
        throw refuse(
          'InvalidSecurityGroupRuleId.NotFound',
          `The security group rule ID '${id}' does not exist`,
        );
      });
      const page = cutPage({
        members: filterMembers({
          members: members ?? all,
          filters: input.Filter,
          tags: null,
          fields: {
            'group-id': (entry) => entry.groupId,
            'security-group-rule-id': (entry) => entry.rule.id,
          },
        }),
        orderOf: (entry) => `${entry.groupId} ${entry.rule.id}`,
        maxResults: input.MaxResults,
        nextToken: input.NextToken,
      });
      const securityGroupRuleSet = page.members.map(({ rule, groupId }) =>
        describeRule(rule, { groupId, accountId }),
      );
      return { securityGroupRuleSet, nextToken: page.nextToken };
    },
  );
}

function authorize({ store, accountId }: Ec2Desk, isEgress: boolean) {
  return defineEc2Action(
    { GroupId: textParameter.optional(), GroupName: textParameter.optional(), ...permissionParameters },
    async ({ GroupId, GroupName, ...permissions }) => {
      const rules = readRules(permissions, isEgress);
      const id = await store.update((state) => {
        const group = findGroup(state, GroupId, GroupName);
        for (const rule of rules) {
          checkPeer(state, rule);
          if (group.rules.some((other) => isSameRule(other, rule))) {
            throw refuse(
              'InvalidPermission.Duplicate',
              `the specified rule ${nameRule(rule)} already exists`,
            );
          }
          group.rules.push(rule);
        }
        return group.id;
      });
      const securityGroupRuleSet = rules.map((rule) => describeRule(rule, { groupId: id, accountId }));
      return { return: true, securityGroupRuleSet };
    },
  );
}

function revoke({ store }: Ec2Desk, isEgress: boolean) {
  return defineEc2Action(
    {
      GroupId: textParameter.optional(),
      GroupName: textParameter.optional(),
      SecurityGroupRuleId: idsParameter,
      ...permissionParameters,
    },
    async ({ GroupId, GroupName, SecurityGroupRuleId, ...permissions }) => {
      await store.update((state) => {
        const group = findGroup(state, GroupId, GroupName);
        const doomed =
          SecurityGroupRuleId === undefined
            ? findSameRules(group, permissions, isEgress)
            : SecurityGroupRuleId.map((id) => findRule(group, id, isEgress));
        group.rules = group.rules.filter((rule) => !doomed.includes(rule));
      });
      return { return: true };
    },
  );
}

function findSameRules(
  group: SecurityGroup,
  permissions: PermissionInput,
  isEgress: boolean,
): SecurityGroupRule[] {
  return readRules(permissions, isEgress).map((wanted) => {
    const rule = group.rules.find((other) => isSameRule(other, wanted));
    if (rule !== undefined) return rule;
    throw refuse('InvalidPermission.NotFound', 'The specified rule does not exist in this security group.');
  });
}

function findRule(group: SecurityGroup, id: string, isEgress: boolean): SecurityGroupRule {
  const rule = group.rules.find((other) => other.id === id && other.isEgress === isEgress);
  if (rule !== undefined) return rule;
  throw refuse('InvalidSecurityGroupRuleId.NotFound', `The security group rule ID '${id}' does not exist`);
}

function checkPeer(state: Ec2State, { peer }: SecurityGroupRule): void {
  if (peer.kind === 'group') requireMember({ members: state.groups, kind: 'group', id: peer.value });
}

function findGroup(state: Ec2State, id: string | undefined, name: string | undefined): SecurityGroup {
  if (id !== undefined) return requireMember({ members: state.groups, kind: 'group', id });
  if (name !== undefined) return requireGroupByName(state.groups, name);
  throw missing('groupId');
}

/** Names work in the default VPC only, as in AWS. */
function requireGroupByName(groups: Readonly<Record<string, SecurityGroup>>, name: string): SecurityGroup {
  const group = Object.values(groups).find((other) => other.name === name);
  if (group !== undefined) return group;
  throw refuse('InvalidGroup.NotFound', `The security group '${name}' does not exist in default VPC`);
}

function isGroupUsed(state: Ec2State, id: string): boolean {
  const isWorn = Object.values(state.instances).some(
    (instance) => isLive(instance) && instance.interface.groupIds.includes(id),
  );
  const isNamed = Object.values(state.groups).some(
    (group) => group.id !== id && group.rules.some(({ peer }) => peer.kind === 'group' && peer.value === id),
  );
  return isWorn || isNamed;
}

function defaultVpc(state: Ec2State): string {
  const vpc = Object.values(state.vpcs).find(({ isDefault }) => isDefault);
  if (vpc === undefined) throw refuse('VPCIdNotSpecified', 'No default VPC for this user');
  return vpc.id;
}

const PLAIN_TEXT = /^[a-zA-Z0-9 ._\-:/()#,@[\]+=&;{}!$*]+$/;

function checkNames(name: string, description: string): void {
  if (name === 'default') {
    throw refuse('InvalidParameterValue', `Cannot use reserved security group name: default`);
  }
  if (name.startsWith('sg-')) {
    throw refuse(
      'InvalidParameterValue',
      `Invalid value '${name}' for groupName. Group names may not be in the format sg-*`,
    );
  }
  for (const [parameter, value] of [
    ['groupName', name],
    ['GroupDescription', description],
  ] as const) {
    if (value.length <= MAX_NAME_LENGTH && PLAIN_TEXT.test(value)) continue;
    throw refuse(
      'InvalidParameterValue',
      `Value (${value}) for parameter ${parameter} is invalid. Character sets beyond ASCII are not supported.`,
    );
  }
}
