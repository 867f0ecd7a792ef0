/** IAM's instance profiles: what an instance carries so that it has a role. */
import { conflict, exists, makeId, paging, path, roleName, tags, writePage, writeRole } from './iam-forms.ts';
import {
  findProfile,
  findRole,
  type HeldProfile,
  type IamParts,
  type IamState,
  noSuchEntity,
} from './iam-state.ts';
import { textParameter } from './query-form.ts';
import { defineAction, type QueryActions } from './query-protocol.ts';
import { Refusal } from './refusal.ts';
import type { XmlObject } from './xml.ts';

export function profileActions({ store, account, now }: IamParts): QueryActions {
  const write = (profile: HeldProfile) => writeProfile(store.read(), profile);
  return {
    CreateInstanceProfile: defineAction(
      { InstanceProfileName: roleName, Path: path, Tags: tags },
      async ({ InstanceProfileName, Path = '/' }) => {
        const profile: HeldProfile = {
          name: InstanceProfileName,
          path: Path,
          id: makeId('AIPA'),
          arn: `arn:aws:iam::${account.accountId}:instance-profile${Path}${InstanceProfileName}`,
          createdAt: now(),
          roles: [],
        };
        await store.update(({ profiles }) => {
          if (Object.hasOwn(profiles, profile.name)) {
            throw exists(`Instance Profile ${profile.name} already exists.`);
          }
          profiles[profile.name] = profile;
        });
        return { InstanceProfile: write(profile) };
      },
    ),
    GetInstanceProfile: defineAction({ InstanceProfileName: roleName }, ({ InstanceProfileName }) => ({
      InstanceProfile: write(findProfile(store.read(), InstanceProfileName)),
    })),
    ListInstanceProfiles: defineAction({ PathPrefix: textParameter.optional(), ...paging }, (input) => {
      const profiles = Object.values(store.read().profiles)
        .filter((profile) => profile.path.startsWith(input.PathPrefix ?? '/'))
        .sort((a, b) => (a.name < b.name ? -1 : 1));
      return writePage({ element: 'InstanceProfiles', items: profiles.map(write), input });
    }),
    DeleteInstanceProfile: defineAction(
      { InstanceProfileName: roleName },
      async ({ InstanceProfileName }) => {
        await store.update((state) => {
          if (findProfile(state, InstanceProfileName).roles.length > 0) {
            throw conflict('Cannot delete entity, must remove roles from instance profile first.');
          }
          delete state.profiles[InstanceProfileName];
        });
        return {};
      },
    ),
    AddRoleToInstanceProfile: defineAction(
      { InstanceProfileName: roleName, RoleName: roleName },
      async ({ InstanceProfileName, RoleName }) => {
        await store.update((state) => {
          findRole(state, RoleName);
          const profile = findProfile(state, InstanceProfileName);
          if (profile.roles.length > 0) {
            const message = 'Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1';
            throw new Refusal({ status: 409, code: 'LimitExceeded', message });
          }
          profile.roles.push(RoleName);
        });
        return {};
      },
    ),
    RemoveRoleFromInstanceProfile: defineAction(
      { InstanceProfileName: roleName, RoleName: roleName },
      async ({ InstanceProfileName, RoleName }) => {
        await store.update((state) => {
          const profile = findProfile(state, InstanceProfileName);
          if (!profile.roles.includes(RoleName)) {
            throw noSuchEntity(`The role with name ${RoleName} cannot be found.`);
          }
          profile.roles = [];
        });
        return {};
      },
    ),
  };
}

function writeProfile({ roles }: Readonly<IamState>, profile: HeldProfile): XmlObject {
  return {
    Path: profile.path,
    InstanceProfileName: profile.name,
    InstanceProfileId: profile.id,
    Arn: profile.arn,
    CreateDate: new Date(profile.createdAt),
    Roles: profile.roles.flatMap((role) => (roles[role] === undefined ? [] : [writeRole(roles[role])])),
  };
}
