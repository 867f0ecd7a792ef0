/**
 * The sandbox's Azure: look-alikes of Resource Manager and of managed disks' blob endpoint on one TLS port of localhost,
 * and of an App Service's identity endpoint beside it, with their state in one folder. Clients reach them through
 * standard settings: the endpoint in the wave, NODE_EXTRA_CA_CERTS for the certificate, IDENTITY_ENDPOINT for tokens.
 */
import { mkdir } from 'node:fs/promises';
import { createServer as createHttpServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { join } from 'node:path';
import type { Acceleration } from '../../boot/acceleration.ts';
import { createFaults, type Faults } from '../faults.ts';
import { lockFolder } from '../folder-lock.ts';
import { createFront, listen, type SandboxLog, SERVER_SETTINGS } from '../front.ts';
import { createRequestLog, type RequestLog } from '../request-log.ts';
import { openStore } from '../store.ts';
import { openAzureAccount } from './account.ts';
import { provideCertificate } from './certificate.ts';
import { type AzureCloud, type AzureDesk, type AzureLimits, DEFAULT_LIMITS, nameFiles } from './cloud.ts';
import { sweepFiles } from './disk-files.ts';
import { answerInternalError, createAzureDispatch, createIdentityDispatch } from './dispatch.ts';
import { createFleet } from './fleet.ts';
import { createIdentity, IDENTITY_PATH } from './identity.ts';
import { openOperations } from './operations.ts';
import { openPageStore } from './page-store.ts';
import { createRights, type Rights } from './rights.ts';
import { type AzureSeed, DEFAULT_SEED, seedState } from './seed.ts';
import { resumeMachines } from './virtual-machines.ts';

export type AzureSandboxOptions = {
  /** All state is here and survives a restart. Only one sandbox at a time may have it. */
  folder: string;
  /** On 127.0.0.1; the identity endpoint takes the next one. 0, the default: free ones. */
  port?: number;
  log?: SandboxLog;
  /** How guests run; probed where it is left out. */
  acceleration?: Acceleration;
  /** Quotas and times, for tests. */
  limits?: Partial<AzureLimits>;
  /** What a new subscription holds. */
  seed?: AzureSeed;
  faults?: Faults;
  /** Milliseconds since the epoch. */
  now?: () => number;
};

export type AzureSandbox = AsyncDisposable & {
  /** Of Resource Manager, for example `https://127.0.0.1:4567`. */
  url: string;
  subscriptionId: string;
  location: string;
  /** PEM; clients must trust it. */
  certificateFile: string;
  /** What the Azure SDKs read to trust this sandbox and to get tokens from it, and the settings that waves name. */
  environment: Readonly<Record<string, string>>;
  rights: Rights;
  faults: Faults;
  requests: RequestLog;
  /** Aborted when the disks' store ended by itself: only a new start helps. */
  gone: AbortSignal;
  stop(): Promise<void>;
};

/** Throws `conflict` where another sandbox has the folder or the port, `tool-missing` without openssl or Azurite. */
export async function startAzureSandbox(options: AzureSandboxOptions): Promise<AzureSandbox> {
  const { folder, now = Date.now, log = () => undefined, seed = DEFAULT_SEED } = options;
  await mkdir(folder, { recursive: true });
  await using owned = new AsyncDisposableStack();
  owned.use(await lockFolder(folder));
  const account = await openAzureAccount(folder);
  const { certificate, key, certificateFile } = await provideCertificate(folder);
  const store = await openStore(join(folder, 'azure.json'), seedState(account, seed));
  const limits = { ...DEFAULT_LIMITS, ...options.limits };
  const pages = owned.use(
    await openPageStore({ folder: join(folder, 'azurite'), storageKey: account.storageKey, log }),
  );
  const rights = createRights(account);
  let url = '';
  const cloud: AzureCloud = {
    store,
    account,
    files: nameFiles(folder),
    limits,
    location: seed.location,
    pages,
    rights,
    url: () => url,
    now,
    log,
  };
  await sweepFiles(cloud);
  const fleet = owned.use(createFleet(cloud, options.acceleration ?? null));
  const operations = owned.use(await openOperations(cloud));
  const desk: AzureDesk = { ...cloud, fleet, operations };
  await resumeMachines(desk);

  const identity = createIdentity({ account, tokenSeconds: limits.tokenSeconds, now });
  const faults = options.faults ?? createFaults();
  const requests = createRequestLog();
  const dispatching = { desk, identity, faults, requests };
  const stopping = new AbortController();
  const front = { internalError: answerInternalError, stopping, log, now };
  const tlsServer = createTlsServer({ ...SERVER_SETTINGS, cert: certificate, key });
  const tls = createFront({ ...front, server: tlsServer, dispatch: createAzureDispatch(dispatching) });
  owned.defer(tls.stop);
  const plainServer = createHttpServer(SERVER_SETTINGS);
  const plain = createFront({ ...front, server: plainServer, dispatch: createIdentityDispatch(dispatching) });
  owned.defer(plain.stop);
  url = `https://${await listen(tlsServer, options.port ?? 0)}`;
  const identityUrl = `http://${await listen(plainServer, options.port ? options.port + 1 : 0)}${IDENTITY_PATH}`;
  log('info', `The Azure sandbox listens at ${url}`, { folder });

  const resources = owned.move();
  const stop = (): Promise<void> => resources.disposeAsync();
  return {
    url,
    subscriptionId: account.subscriptionId,
    location: seed.location,
    certificateFile,
    environment: {
      AZURE_RESOURCE_MANAGER_ENDPOINT: url,
      AZURE_SUBSCRIPTION_ID: account.subscriptionId,
      NODE_EXTRA_CA_CERTS: certificateFile,
      IDENTITY_ENDPOINT: identityUrl,
      IDENTITY_HEADER: account.identityHeader,
    },
    rights,
    faults,
    requests,
    gone: pages.gone,
    stop,
    [Symbol.asyncDispose]: stop,
  };
}
