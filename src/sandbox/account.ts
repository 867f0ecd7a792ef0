/** The one account of the sandbox: its number, its home region and its access key, made once and kept. */
import { randomBytes, randomInt } from 'node:crypto';
import { join } from 'node:path';
import { LandfallError } from '../domain/errors.ts';
import { openStore } from './store.ts';

export type Account = {
  accountId: string;
  region: string;
  accessKeyId: string;
  secretAccessKey: string;
};

export type AccountOptions = { folder: string; accountId: string | undefined; region: string | undefined };

const DEFAULT_ACCOUNT_ID = '123456789012';
const DEFAULT_REGION = 'eu-central-1';
const BASE32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';

/** Throws `usage` where the folder holds an account of another number or region. */
export async function openAccount({ folder, accountId, region }: AccountOptions): Promise<Account> {
  const initial: Account = {
    accountId: accountId ?? DEFAULT_ACCOUNT_ID,
    region: region ?? DEFAULT_REGION,
    accessKeyId: `AKIA${Array.from({ length: 16 }, () => BASE32[randomInt(32)]).join('')}`,
    secretAccessKey: randomBytes(30).toString('base64'),
  };
  const file = join(folder, 'account.json');
  const store = await openStore(file, initial);
  await store.update(() => undefined);
  const account = store.read();
  refuseOther({ what: 'account', wanted: accountId, kept: account.accountId, folder });
  refuseOther({ what: 'region', wanted: region, kept: account.region, folder });
  return account;
}

function refuseOther({
  what,
  wanted,
  kept,
  folder,
}: {
  what: string;
  wanted: string | undefined;
  kept: string;
  folder: string;
}): void {
  if (wanted === undefined || wanted === kept) return;
  throw new LandfallError({
    code: 'usage',
    message:
      `Starting the sandbox in ${folder} for ${what} ${wanted} failed: the folder holds a sandbox of ${what} ${kept}. ` +
      `Ask for that ${what}, or give another folder.`,
  });
}
