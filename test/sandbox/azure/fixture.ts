/** An Azure sandbox of its own for a test file, in a fresh folder, with the vendor's clients pointed at it over TLS. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { ComputeManagementClient, type Disk } from '@azure/arm-compute';
import { NetworkManagementClient } from '@azure/arm-network';
import { DefaultAzureCredential, type TokenCredential } from '@azure/identity';
import { AnonymousCredential, PageBlobClient } from '@azure/storage-blob';
import {
  type AzureSandbox,
  type AzureSandboxOptions,
  startAzureSandbox,
} from '../../../src/sandbox/azure/server.ts';

export type AzureFixture = AsyncDisposable & {
  readonly sandbox: AzureSandbox;
  folder: string;
  credential: TokenCredential;
  compute: ComputeManagementClient;
  network: NetworkManagementClient;
  /** Stops the sandbox and starts it again on the same folder and port. */
  restart(): Promise<void>;
  /** Makes a disk for a VHD of this size and gives its address with a write signature. */
  openUpload(name: string, uploadSizeBytes: number, more?: Partial<Disk>): Promise<PageBlobClient>;
  /** The same and its content, finalised. */
  upload(name: string, vhd: Buffer, more?: Partial<Disk>): Promise<string>;
};

export const GROUP = 'landfall-demo';
/** One attempt per request, so that a test sees each answer; operations are asked after as fast as they end. */
const CLIENT_OPTIONS = { retryOptions: { maxRetries: 0 } };
export const FAST = { updateIntervalInMs: 10 };

export async function startAzureFixture(options: Partial<AzureSandboxOptions> = {}): Promise<AzureFixture> {
  const folder = await mkdtemp(join(tmpdir(), 'landfall-azure-'));
  const start = (port = 0): Promise<AzureSandbox> =>
    startAzureSandbox({ folder, port, acceleration: 'tcg', ...options });
  let sandbox = await start();
  await trust(sandbox);
  Object.assign(process.env, sandbox.environment);
  const credential = new DefaultAzureCredential();
  const { subscriptionId } = sandbox;
  const endpoint = { endpoint: sandbox.url, ...CLIENT_OPTIONS };
  const compute = new ComputeManagementClient(credential, subscriptionId, endpoint);
  const fixture: AzureFixture = {
    get sandbox() {
      return sandbox;
    },
    folder,
    credential,
    compute,
    network: new NetworkManagementClient(credential, subscriptionId, endpoint),
    async restart() {
      const port = Number(new URL(sandbox.url).port);
      await sandbox.stop();
      sandbox = await start(port);
    },
    async openUpload(name, uploadSizeBytes, more = {}) {
      await compute.disks.createOrUpdate(
        GROUP,
        name,
        { ...uploadDisk(sandbox.location, uploadSizeBytes), ...more },
        FAST,
      );
      return pagesAt(await grantWrite(compute, name));
    },
    async upload(name, vhd, more) {
      const pages = await fixture.openUpload(name, vhd.length, more);
      for (let at = 0; at < vhd.length; at += PIECE_BYTES) {
        const piece = vhd.subarray(at, at + PIECE_BYTES);
        if (piece.some((byte) => byte !== 0)) await pages.uploadPages(piece, at, piece.length);
      }
      await compute.disks.revokeAccess(GROUP, name, FAST);
      return (await compute.disks.get(GROUP, name)).id ?? '';
    },
    async [Symbol.asyncDispose]() {
      await sandbox.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
  return fixture;
}

const PIECE_BYTES = 4 * 1024 * 1024;

export function uploadDisk(location: string, uploadSizeBytes: number): Disk {
  return {
    location,
    sku: { name: 'Standard_LRS' },
    osType: 'Linux',
    hyperVGeneration: 'V1',
    creationData: { createOption: 'Upload', uploadSizeBytes },
  };
}

export async function grantWrite(
  compute: ComputeManagementClient,
  name: string,
  durationInSeconds = 3600,
): Promise<string> {
  const granted = await compute.disks.grantAccess(GROUP, name, { access: 'Write', durationInSeconds }, FAST);
  return granted.accessSAS ?? '';
}

export function pagesAt(address: string): PageBlobClient {
  return new PageBlobClient(address, new AnonymousCredential(), { retryOptions: { maxTries: 1 } });
}

/** A fixed VHD around the bytes, filled up to whole MiB. */
export function fixedVhd(content: Buffer, minMib = 20): Buffer {
  const mib = 1024 * 1024;
  const virtualBytes = Math.max(minMib, Math.ceil(content.length / mib)) * mib;
  const vhd = Buffer.alloc(virtualBytes + 512);
  content.copy(vhd);
  vhdFooter(virtualBytes).copy(vhd, virtualBytes);
  return vhd;
}

export function vhdFooter(virtualBytes: number): Buffer {
  const footer = Buffer.alloc(512);
  footer.write('conectix', 'latin1');
  footer.writeUInt32BE(2, 8);
  footer.writeUInt32BE(0x0001_0000, 12);
  footer.fill(0xff, 16, 24);
  footer.write('Wi2k', 36, 'latin1');
  footer.writeBigUInt64BE(BigInt(virtualBytes), 40);
  footer.writeBigUInt64BE(BigInt(virtualBytes), 48);
  footer.writeUInt32BE(2, 60);
  const sum = footer.reduce((total, byte) => total + byte, 0);
  footer.writeUInt32BE(~sum >>> 0, 64);
  return footer;
}

/** What an error of Resource Manager or of Blob Storage carries. */
export async function refusalOf(
  promise: PromiseLike<unknown>,
): Promise<{ statusCode?: number | undefined; code?: string | undefined; message: string }> {
  try {
    await promise;
  } catch (error) {
    const { statusCode, code, message } = error as { statusCode?: number; code?: string; message: string };
    return { statusCode, code, message };
  }
  throw new Error('it was not refused');
}

export async function trust({ certificateFile }: Pick<AzureSandbox, 'certificateFile'>): Promise<void> {
  setDefaultCACertificates([...getCACertificates('default'), await readFile(certificateFile, 'utf8')]);
}
