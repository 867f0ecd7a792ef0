/**
 * Access to a managed disk's bytes by a shared access signature: granted, renewed while an upload goes on, revoked.
 * https://learn.microsoft.com/rest/api/compute/disks/grant-access
 *
 * Revoking ends an upload for good, so an expiring signature is never revoked: another one is granted beside it.
 */
import type { PageBlobClient } from '@azure/storage-blob';
import { LandfallError } from '../../../src/domain/errors.ts';
import type { Azure } from './clients.ts';
import { diskCall } from './disk.ts';
import { ask, askIfFound } from './errors.ts';
import { openPages } from './page-client.ts';

export type DiskAccess = {
  /** With a signature that is good for a while yet. */
  pages(): Promise<PageBlobClient>;
  /** Another signature, once one was refused; calls that name the same refused one share what is granted. */
  renew(refused: PageBlobClient): Promise<PageBlobClient>;
};

/** A signature that leaks, or that a killed worker leaves, is good for so long. Longer uploads renew it. */
const ACCESS_SECONDS = 4 * 60 * 60;
/** At half its time: a renewal that fails for long still finds it valid, and clocks may differ. */
const RENEW_AT = 0.5;

/** Grants with the first use. */
export function openAccess(
  azure: Azure,
  grant: {
    name: string;
    /** "Uploading disk 0 of web01". */
    doing: string;
    onThrottled: () => void;
    signal: AbortSignal;
    accessSeconds?: number;
  },
): DiskAccess {
  const { accessSeconds = ACCESS_SECONDS, onThrottled } = grant;
  let current: Promise<PageBlobClient> | null = null;
  let renewAtMs = 0;

  const grantNow = (): Promise<PageBlobClient> => {
    renewAtMs = performance.now() + accessSeconds * 1000 * RENEW_AT;
    const granted = grantWrite(azure, { ...grant, accessSeconds }).then((address) =>
      openPages(address, { onThrottled }),
    );
    current = granted;
    granted.catch(() => {
      if (current === granted) current = null;
    });
    return granted;
  };
  return {
    pages: async () => (current === null || performance.now() >= renewAtMs ? grantNow() : current),
    async renew(refused) {
      const now = await (current ?? grantNow());
      return now === refused ? grantNow() : now;
    },
  };
}

async function grantWrite(
  azure: Azure,
  {
    name,
    doing,
    signal,
    accessSeconds,
  }: { name: string; doing: string; signal: AbortSignal; accessSeconds: number },
): Promise<string> {
  const call = diskCall(azure, { doing, action: 'beginGetAccess/action', name });
  const wanted = { access: 'Write' as const, durationInSeconds: accessSeconds };
  const options = { ...azure.polling, abortSignal: signal };
  const granted = await ask(call, () =>
    azure.compute.disks.grantAccess(azure.options.resourceGroup, name, wanted, options),
  );
  if (granted?.accessSAS !== undefined) return granted.accessSAS;
  throw new LandfallError({
    code: 'target-refused',
    retryable: true,
    message: `${doing} failed: Azure granted access to ${call.resource} and gave no address. It is tried again.`,
  });
}

/** Ends all access to the disk, and with it an upload. Also where nobody has any, or the disk is gone. */
export async function revokeAccess(
  azure: Azure,
  { name, doing, signal }: { name: string; doing: string; signal: AbortSignal },
): Promise<void> {
  const call = diskCall(azure, { doing, action: 'endGetAccess/action', name });
  const options = { ...azure.polling, abortSignal: signal };
  await askIfFound(call, () =>
    azure.compute.disks.revokeAccess(azure.options.resourceGroup, name, options).then(() => true),
  );
}
