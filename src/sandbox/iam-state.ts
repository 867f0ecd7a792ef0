/** What the sandbox's IAM holds, and how its roles are judged. */
import type { Account } from './account.ts';
import {
  type Decision,
  decide,
  isTrusted,
  type PolicyQuestion,
  parsePolicy,
  parseTrust,
} from './iam-policy.ts';
import type { InstanceProfile, Role, RoleReader } from './neighbours.ts';
import { Refusal } from './refusal.ts';
import type { Store } from './store.ts';

export type HeldRole = {
  name: string;
  path: string;
  id: string;
  arn: string;
  /** JSON text, as all policies here. */
  trust: string;
  description: string | null;
  maxSessionSeconds: number;
  createdAt: number;
  tags: readonly { Key: string; Value: string }[];
  inline: Record<string, string>;
  /** ARNs of managed policies. */
  attached: string[];
};

export type HeldProfile = {
  name: string;
  path: string;
  id: string;
  arn: string;
  createdAt: number;
  roles: string[];
};

export type IamState = { roles: Record<string, HeldRole>; profiles: Record<string, HeldProfile> };

export type IamParts = { store: Store<IamState>; account: Account; now: () => number };

/** AWS's own policies that the sandbox knows, cut to what a rehearsal can meet. */
export const MANAGED_POLICIES: ReadonlyMap<string, string> = new Map([
  managed('AdministratorAccess', '*'),
  managed('AmazonS3FullAccess', ['s3:*', 's3-object-lambda:*']),
  managed('AmazonS3ReadOnlyAccess', ['s3:Get*', 's3:List*', 's3:Describe*']),
  managed('AmazonEC2FullAccess', ['ec2:*']),
  managed('AmazonSSMManagedInstanceCore', ['ssm:*', 'ssmmessages:*', 'ec2messages:*']),
]);

export function findRole({ roles }: Readonly<IamState>, name: string): HeldRole {
  const role = Object.hasOwn(roles, name) ? roles[name] : undefined;
  if (role !== undefined) return role;
  throw noSuchEntity(`The role with name ${name} cannot be found.`);
}

export function findProfile({ profiles }: Readonly<IamState>, name: string): HeldProfile {
  const profile = Object.hasOwn(profiles, name) ? profiles[name] : undefined;
  if (profile !== undefined) return profile;
  throw noSuchEntity(`Instance Profile ${name} cannot be found.`);
}

export function decideForRole(role: HeldRole, question: PolicyQuestion): Decision {
  const attached = role.attached.map((arn) => MANAGED_POLICIES.get(arn) ?? '');
  const documents = [...Object.values(role.inline), ...attached].filter((text) => text !== '');
  return decide(documents.flatMap(parsePolicy), question);
}

export function createRoleReader(store: Store<IamState>): RoleReader {
  return {
    find(name) {
      const { roles } = store.read();
      return Object.hasOwn(roles, name) && roles[name] !== undefined ? describeRole(roles[name]) : null;
    },
    findInstanceProfile(nameOrArn) {
      const profiles = Object.values(store.read().profiles);
      const profile = profiles.find(({ name, arn }) => name === nameOrArn || arn === nameOrArn);
      return profile === undefined ? null : describeProfile(profile);
    },
  };
}

export function noSuchEntity(message: string): Refusal {
  return new Refusal({ status: 404, code: 'NoSuchEntity', message });
}

function describeRole(role: HeldRole): Role {
  return {
    name: role.name,
    arn: role.arn,
    trusts: (service, conditions = {}) => isTrusted(parseTrust(role.trust), { service, conditions }),
    allows: (action, resource) => decideForRole(role, { action, resource }) === 'allowed',
  };
}

function describeProfile({ name, arn, id, roles }: HeldProfile): InstanceProfile {
  return { name, arn, id, roles };
}

function managed(name: string, actions: string | readonly string[]): [string, string] {
  const Statement = [{ Effect: 'Allow', Action: actions, Resource: '*' }];
  return [`arn:aws:iam::aws:policy/${name}`, JSON.stringify({ Version: '2012-10-17', Statement })];
}
