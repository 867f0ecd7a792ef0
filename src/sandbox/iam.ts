/** The sandbox's IAM: roles, their policies and instance profiles, as far as VM import and pre-flight ask. */
import { join } from 'node:path';
import type { Account } from './account.ts';
import {
  conflict,
  document,
  encodeDocument,
  exists,
  makeId,
  paging,
  path,
  policyName,
  roleName,
  tags,
  writePage,
  writeRole,
} from './iam-forms.ts';
import { parsePolicy, parseTrust } from './iam-policy.ts';
import { profileActions } from './iam-profiles.ts';
import {
  createRoleReader,
  decideForRole,
  findRole,
  type HeldRole,
  type IamParts,
  type IamState,
  MANAGED_POLICIES,
  noSuchEntity,
} from './iam-state.ts';
import type { RoleReader } from './neighbours.ts';
import { integerParameter, listParameter, structParameter, textParameter } from './query-form.ts';
import { defineAction, type QueryAction, type QueryActions } from './query-protocol.ts';
import { openStore } from './store.ts';
import { callerArn } from './sts.ts';

export type Iam = { actions: QueryActions; roles: RoleReader };

export async function openIam({
  folder,
  account,
  now,
}: {
  folder: string;
  account: Account;
  now: () => number;
}): Promise<Iam> {
  const store = await openStore<IamState>(join(folder, 'iam.json'), { roles: {}, profiles: {} });
  const parts: IamParts = { store, account, now };
  const actions = {
    ...roleActions(parts),
    ...inlinePolicyActions(parts),
    ...managedPolicyActions(parts),
    ...profileActions(parts),
    SimulatePrincipalPolicy: simulate(parts),
  };
  return { actions, roles: createRoleReader(store) };
}

function roleActions({ store, account, now }: IamParts): QueryActions {
  return {
    CreateRole: defineAction(
      {
        RoleName: roleName,
        AssumeRolePolicyDocument: document,
        Path: path,
        Description: textParameter.max(1000).optional(),
        MaxSessionDuration: integerParameter.optional(),
        Tags: tags,
      },
      async (input) => {
        parseTrust(input.AssumeRolePolicyDocument);
        const rolePath = input.Path ?? '/';
        const role: HeldRole = {
          name: input.RoleName,
          path: rolePath,
          id: makeId('AROA'),
          arn: `arn:aws:iam::${account.accountId}:role${rolePath}${input.RoleName}`,
          trust: input.AssumeRolePolicyDocument,
          description: input.Description ?? null,
          maxSessionSeconds: input.MaxSessionDuration ?? 3600,
          createdAt: now(),
          tags: input.Tags ?? [],
          inline: {},
          attached: [],
        };
        await store.update(({ roles }) => {
          if (Object.hasOwn(roles, role.name)) throw exists(`Role with name ${role.name} already exists.`);
          roles[role.name] = role;
        });
        return { Role: writeRole(role) };
      },
    ),
    GetRole: defineAction({ RoleName: roleName }, ({ RoleName }) => ({
      Role: writeRole(findRole(store.read(), RoleName)),
    })),
    ListRoles: defineAction({ PathPrefix: textParameter.optional(), ...paging }, (input) => {
      const roles = Object.values(store.read().roles)
        .filter((role) => role.path.startsWith(input.PathPrefix ?? '/'))
        .sort((a, b) => (a.name < b.name ? -1 : 1));
      return writePage({ element: 'Roles', items: roles.map(writeRole), input });
    }),
    UpdateAssumeRolePolicy: defineAction({ RoleName: roleName, PolicyDocument: document }, async (input) => {
      parseTrust(input.PolicyDocument);
      await store.update((state) => {
        findRole(state, input.RoleName).trust = input.PolicyDocument;
      });
      return {};
    }),
    DeleteRole: defineAction({ RoleName: roleName }, async ({ RoleName }) => {
      await store.update((state) => {
        checkRoleIsFree(state, findRole(state, RoleName));
        delete state.roles[RoleName];
      });
      return {};
    }),
  };
}

function inlinePolicyActions({ store }: IamParts): QueryActions {
  return {
    PutRolePolicy: defineAction(
      { RoleName: roleName, PolicyName: policyName, PolicyDocument: document },
      async ({ RoleName, PolicyName, PolicyDocument }) => {
        parsePolicy(PolicyDocument);
        await store.update((state) => {
          findRole(state, RoleName).inline[PolicyName] = PolicyDocument;
        });
        return {};
      },
    ),
    GetRolePolicy: defineAction(
      { RoleName: roleName, PolicyName: policyName },
      ({ RoleName, PolicyName }) => ({
        RoleName,
        PolicyName,
        PolicyDocument: encodeDocument(findInline(findRole(store.read(), RoleName), PolicyName)),
      }),
    ),
    ListRolePolicies: defineAction({ RoleName: roleName, ...paging }, (input) => {
      const names = Object.keys(findRole(store.read(), input.RoleName).inline).sort();
      return writePage({ element: 'PolicyNames', items: names, input });
    }),
    DeleteRolePolicy: defineAction(
      { RoleName: roleName, PolicyName: policyName },
      async ({ RoleName, PolicyName }) => {
        await store.update((state) => {
          const role = findRole(state, RoleName);
          findInline(role, PolicyName);
          delete role.inline[PolicyName];
        });
        return {};
      },
    ),
  };
}

function managedPolicyActions({ store }: IamParts): QueryActions {
  return {
    AttachRolePolicy: defineAction(
      { RoleName: roleName, PolicyArn: textParameter },
      async ({ RoleName, PolicyArn }) => {
        if (!MANAGED_POLICIES.has(PolicyArn)) {
          throw noSuchEntity(`Policy ${PolicyArn} does not exist or is not attachable.`);
        }
        await store.update((state) => {
          const role = findRole(state, RoleName);
          role.attached = [...new Set([...role.attached, PolicyArn])];
        });
        return {};
      },
    ),
    DetachRolePolicy: defineAction(
      { RoleName: roleName, PolicyArn: textParameter },
      async ({ RoleName, PolicyArn }) => {
        await store.update((state) => {
          const role = findRole(state, RoleName);
          if (!role.attached.includes(PolicyArn)) throw noSuchEntity(`Policy ${PolicyArn} was not found.`);
          role.attached = role.attached.filter((arn) => arn !== PolicyArn);
        });
        return {};
      },
    ),
    ListAttachedRolePolicies: defineAction({ RoleName: roleName, ...paging }, (input) => {
      const items = findRole(store.read(), input.RoleName).attached.map((arn) => ({
        PolicyName: arn.slice(arn.lastIndexOf('/') + 1),
        PolicyArn: arn,
      }));
      return writePage({ element: 'AttachedPolicies', items, input });
    }),
    GetPolicyVersion: defineAction({ PolicyArn: textParameter, VersionId: textParameter }, (input) => {
      const text = MANAGED_POLICIES.get(input.PolicyArn);
      if (text === undefined || input.VersionId !== 'v1') {
        throw noSuchEntity(`Policy ${input.PolicyArn} version ${input.VersionId} does not exist.`);
      }
      return { PolicyVersion: { Document: encodeDocument(text), VersionId: 'v1', IsDefaultVersion: true } };
    }),
    GetPolicy: defineAction({ PolicyArn: textParameter }, ({ PolicyArn }) => {
      if (!MANAGED_POLICIES.has(PolicyArn)) throw noSuchEntity(`Policy ${PolicyArn} was not found.`);
      const PolicyName = PolicyArn.slice(PolicyArn.lastIndexOf('/') + 1);
      return { Policy: { PolicyName, Arn: PolicyArn, DefaultVersionId: 'v1', IsAttachable: true } };
    }),
  };
}

/** The account's own user may do everything; a role what its policies say. */
function simulate({ store, account }: IamParts): QueryAction {
  const context = structParameter({
    ContextKeyName: textParameter,
    ContextKeyType: textParameter.optional(),
    ContextKeyValues: listParameter(textParameter).optional(),
  });
  return defineAction(
    {
      PolicySourceArn: textParameter,
      ActionNames: listParameter(textParameter),
      ResourceArns: listParameter(textParameter).optional(),
      ContextEntries: listParameter(context).optional(),
      ...paging,
    },
    (input) => {
      const { PolicySourceArn, ActionNames, ContextEntries = [] } = input;
      const conditions = Object.fromEntries(
        ContextEntries.map((entry) => [entry.ContextKeyName, entry.ContextKeyValues?.[0] ?? '']),
      );
      const isCaller = PolicySourceArn === callerArn(account);
      const role = Object.values(store.read().roles).find(({ arn }) => arn === PolicySourceArn);
      if (!isCaller && role === undefined) throw noSuchEntity(`${PolicySourceArn} cannot be found.`);
      const results = (input.ResourceArns ?? ['*']).flatMap((resource) =>
        ActionNames.map((action) => ({
          EvalActionName: action,
          EvalResourceName: resource,
          EvalDecision:
            role === undefined ? 'allowed' : decideForRole(role, { action, resource, conditions }),
          MatchedStatements: [],
          MissingContextValues: [],
        })),
      );
      return writePage({ element: 'EvaluationResults', items: results, input });
    },
  );
}

function findInline(role: HeldRole, policy: string): string {
  const text = Object.hasOwn(role.inline, policy) ? role.inline[policy] : undefined;
  if (text !== undefined) return text;
  throw noSuchEntity(`The role policy with name ${policy} cannot be found.`);
}

function checkRoleIsFree({ profiles }: IamState, role: HeldRole): void {
  if (Object.keys(role.inline).length > 0) {
    throw conflict('Cannot delete entity, must delete policies first.');
  }
  if (role.attached.length > 0) throw conflict('Cannot delete entity, must detach all policies first.');
  if (Object.values(profiles).some(({ roles }) => roles.includes(role.name))) {
    throw conflict('Cannot delete entity, must remove roles from instance profile first.');
  }
}
