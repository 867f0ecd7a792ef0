/** The sandbox's STS: whose key it is. */
import type { Account } from './account.ts';
import { defineAction, type QueryActions } from './query-protocol.ts';

const CALLER = { name: 'landfall', id: 'AIDALANDFALLSANDBOX22' };

export function createSts(account: Account): QueryActions {
  return {
    GetCallerIdentity: defineAction({}, () => ({
      Arn: callerArn(account),
      UserId: CALLER.id,
      Account: account.accountId,
    })),
  };
}

/** The user behind the account's only access key. */
export function callerArn({ accountId }: Account): string {
  return `arn:aws:iam::${accountId}:user/${CALLER.name}`;
}
