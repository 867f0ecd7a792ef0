/** The one subscription of the sandbox and its secrets: made once and kept with the folder. */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { openStore } from '../store.ts';

export type AzureAccount = {
  subscriptionId: string;
  tenantId: string;
  /** Who the managed identity is. */
  principalId: string;
  /** What a client must show to the identity endpoint. */
  identityHeader: string;
  /** Signs access tokens. */
  tokenSecret: string;
  /** Signs shared access signatures. */
  sasSecret: string;
  /** The key of the storage account behind the disks. */
  storageKey: string;
};

/** Fixed, so that a wave file can name it. */
export const SUBSCRIPTION_ID = '0de00000-0000-4000-8000-000000000001';
const TENANT_ID = '0de00000-0000-4000-8000-0000000000aa';
const PRINCIPAL_ID = '0de00000-0000-4000-8000-0000000000bb';

export async function openAzureAccount(folder: string): Promise<AzureAccount> {
  const store = await openStore<AzureAccount>(join(folder, 'account.json'), {
    subscriptionId: SUBSCRIPTION_ID,
    tenantId: TENANT_ID,
    principalId: PRINCIPAL_ID,
    identityHeader: newSecret(),
    tokenSecret: newSecret(),
    sasSecret: newSecret(),
    storageKey: randomBytes(64).toString('base64'),
  });
  await store.update(() => undefined);
  return store.read();
}

function newSecret(): string {
  return randomBytes(32).toString('hex');
}
