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
import { type AzureCall, ask, askIfFound, statusOf } from './errors.ts';
import { awaitOperation } from './operation.ts';
import { openPages } from './page-client.ts';

export type DiskAccess = {
  /**
   * Sends by a signature that is good for a while yet. One that is refused is renewed once, for all who meet it: it
   * expired meanwhile, or somebody revoked it. What the endpoint says of a new one is final.
   */
  use<T>(send: (pages: PageBlobClient) => Promise<T>): Promise<T>;
};

/** A signature that leaks, or that a killed worker leaves, is good for so long. Longer uploads renew it. */
const ACCESS_SECONDS = 4 * 60 * 60;
/** At half its time: a renewal that fails for long still finds it valid, and clocks may differ. */
const RENEW_AT = 0.5;
const RENEW_AGAIN_MS = 30_000;

/** Grants with the first use. */
export function openAccess(grant: {
  /** Gives an address with a signature that is good for `accessSeconds`. */
  grantFor(accessSeconds: number): Promise<string>;
  onThrottled: () => void;
  accessSeconds?: number;
}): DiskAccess {
  const { grantFor, accessSeconds = ACCESS_SECONDS, onThrottled } = grant;
  let current: PageBlobClient | null = null;
  let renewing: Promise<PageBlobClient> | null = null;
  let renewAtMs = 0;

  /** One at a time, for all who wait for it. */
  const grantNow = (): Promise<PageBlobClient> => {
    renewing ??= grantFor(accessSeconds)
      .then((address) => {
        current = openPages(address, { onThrottled });
        renewAtMs = performance.now() + accessSeconds * 1000 * RENEW_AT;
        return current;
      })
      .finally(() => {
        renewing = null;
      });
    return renewing;
  };
  /** While a new one is fetched, and where that fails, the old one is good. */
  const renewBeside = (): void => {
    renewAtMs = performance.now() + RENEW_AGAIN_MS;
    grantNow().catch(() => {});
  };
  const currentPages = async (): Promise<PageBlobClient> => {
    if (current === null) return grantNow();
    if (performance.now() >= renewAtMs) renewBeside();
    return current;
  };
  const renew = async (refused: PageBlobClient): Promise<PageBlobClient> =>
    current !== null && current !== refused ? current : grantNow();
  return {
    async use(send) {
      const pages = await currentPages();
      try {
        return await send(pages);
      } catch (error) {
        if (statusOf(error) !== 403) throw error;
        return send(await renew(pages));
      }
    },
  };
}

export async function grantWrite(
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
  return askAddress(call, () =>
    awaitOperation(
      azure.compute.disks.grantAccess(azure.options.resourceGroup, name, wanted, options),
      signal,
    ),
  );
}

/** Of what access is granted to. */
export async function askAddress(
  call: AzureCall,
  grant: () => Promise<{ accessSAS?: string } | undefined>,
): Promise<string> {
  const granted = await ask(call, grant);
  if (granted?.accessSAS !== undefined) return granted.accessSAS;
  throw new LandfallError({
    code: 'target-refused',
    retryable: true,
    message: `${call.doing} failed: Azure granted access to ${call.resource} and gave no address. Try again.`,
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
    awaitOperation(azure.compute.disks.revokeAccess(azure.options.resourceGroup, name, options), signal).then(
      () => true,
    ),
  );
}
