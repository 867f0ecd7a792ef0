/** What the sandbox's identity may do on its resource groups: everything, until a test says otherwise. */
import type { AzureAccount } from './account.ts';
import { refuse } from './refusals.ts';

export type Permissions = { actions: readonly string[]; notActions: readonly string[] };

export type Rights = {
  /** As a custom role has them, for example `{actions: ['Microsoft.Compute/disks/*'], notActions: []}`. */
  set(permissions: Permissions): void;
  /** Takes one action away, for example `Microsoft.Compute/disks/beginGetAccess/action`. */
  deny(action: string): void;
  reset(): void;
  read(): Permissions;
};

export type CheckedRights = Rights & {
  /** Throws AuthorizationFailed. */
  require(action: string, scope: string): void;
  /** Throws LinkedAuthorizationFailed: the action asked for is allowed, and what it uses is not. */
  requireLinked(options: { action: string; scope: string; linked: string; linkedScope: string }): void;
};

const EVERYTHING: Permissions = { actions: ['*'], notActions: [] };

export function createRights({ principalId }: AzureAccount): CheckedRights {
  let granted = EVERYTHING;
  const allows = (action: string): boolean =>
    granted.actions.some((pattern) => matches(pattern, action)) &&
    !granted.notActions.some((pattern) => matches(pattern, action));
  const client = `The client '${principalId}' with object id '${principalId}'`;
  return {
    set: (permissions) => {
      granted = permissions;
    },
    deny: (action) => {
      granted = { ...granted, notActions: [...granted.notActions, action] };
    },
    reset: () => {
      granted = EVERYTHING;
    },
    read: () => granted,
    require(action, scope) {
      if (allows(action)) return;
      throw refuse(
        403,
        'AuthorizationFailed',
        `${client} does not have authorization to perform action '${action}' over scope '${scope}' or the scope is invalid. If access was recently granted, please refresh your credentials.`,
      );
    },
    requireLinked({ action, scope, linked, linkedScope }) {
      if (allows(linked)) return;
      throw refuse(
        403,
        'LinkedAuthorizationFailed',
        `${client} has permission to perform action '${action}' on scope '${scope}'; however, it does not have permission to perform action(s) '${linked}' on the linked scope(s) '${linkedScope}' (respectively) or the linked scope(s) are invalid.`,
      );
    },
  };
}

function matches(pattern: string, action: string): boolean {
  const escaped = pattern.replaceAll(/[.+?^${}()|[\]\\]/g, '\\$&').replaceAll('*', '.*');
  return new RegExp(`^${escaped}$`, 'i').test(action);
}
