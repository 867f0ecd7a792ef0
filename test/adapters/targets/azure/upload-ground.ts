/** An Azure sandbox, a disk to upload into it, and eyes of its own for what arrived. */
import { createHash, hash, randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Disk } from '@azure/arm-compute';
import type { PageBlobClient } from '@azure/storage-blob';
import { type Azure, createAzure } from '../../../../adapters/targets/azure/clients.ts';
import { removeDisk } from '../../../../adapters/targets/azure/disk-removal.ts';
import { openPageSink } from '../../../../adapters/targets/azure/page-sink.ts';
import { BLOCK_BYTES } from '../../../../src/blocks/stream-encoder.ts';
import type { Artifact } from '../../../../src/domain/landing.ts';
import type { BlockSink, UploadRequest } from '../../../../src/domain/ports.ts';
import { runTool } from '../../../../src/processes/child.ts';
import type { AzureSandboxOptions } from '../../../../src/sandbox/azure/server.ts';
import { createStepContext, type FakeStepContext } from '../../../fakes/step-context.ts';
import {
  type AzureFixture,
  FAST,
  GROUP,
  grantWrite,
  pagesAt,
  startAzureFixture,
} from '../../../sandbox/azure/fixture.ts';
import { machineWith } from '../machines.ts';

export const MIB = 2 ** 20;
/** Not a whole MiB, nor a whole block. */
export const DISK_BYTES = 31 * MIB + 1000;
const BLOCK_COUNT = Math.ceil(DISK_BYTES / BLOCK_BYTES);
/** Runs, single blocks, and the last one, which is short. */
const DATA = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 20, 30, 31, 32, BLOCK_COUNT - 1];
export const BLOCKS: ReadonlyMap<number, Buffer> = new Map(DATA.map((index) => [index, randomBlock(index)]));

export type UploadGround = AsyncDisposable & {
  fixture: AzureFixture;
  azure: Azure;
  disks(): Promise<Disk[]>;
  /** The pages of the only disk, under a signature that is not the sink's. */
  stranger(): Promise<PageBlobClient>;
  /** Reads the only disk back, and lets qemu-img judge and compare it. Gives the VHD's length. */
  expectIdentical(): Promise<{ virtualBytes: number; heldBytes: number }>;
};

export async function openUploadGround(
  options: Pick<AzureSandboxOptions, 'limits' | 'now'> = {},
): Promise<UploadGround> {
  const fixture = await startAzureFixture(options);
  const { sandbox, compute } = fixture;
  const folder = await mkdtemp(join(tmpdir(), 'landfall-azure-upload-'));
  const azure = createAzure({
    subscription: sandbox.subscriptionId,
    resourceGroup: GROUP,
    location: sandbox.location,
    endpoint: sandbox.url,
    diskType: 'Standard_LRS',
    keepSnapshots: false,
  });
  azure.polling.updateIntervalInMs = FAST.updateIntervalInMs;
  const ground: UploadGround = {
    fixture,
    azure,
    disks: () => Array.fromAsync(compute.disks.listByResourceGroup(GROUP)),
    async stranger() {
      const [disk] = await ground.disks();
      return pagesAt(await grantWrite(compute, disk?.name ?? ''));
    },
    async expectIdentical() {
      const [disk] = await ground.disks();
      const name = disk?.name ?? '';
      const read = { access: 'Read' as const, durationInSeconds: 600 };
      const { accessSAS = '' } = await compute.disks.grantAccess(GROUP, name, read, FAST);
      const pages = pagesAt(accessSAS);
      const [vhd, raw] = [join(folder, 'landed.vhd'), join(folder, 'source.raw')];
      await pages.downloadToFile(vhd);
      await writeFile(raw, contentOf(BLOCKS));
      const ranges = await Array.fromAsync(pages.listPageRanges());
      await compute.disks.revokeAccess(GROUP, name, FAST);
      await runTool({ command: 'qemu-img', args: ['compare', '-f', 'vpc', '-F', 'raw', vhd, raw] });
      const info = await runTool({ command: 'qemu-img', args: ['info', '--output=json', '-f', 'vpc', vhd] });
      const { 'virtual-size': virtualBytes } = JSON.parse(info.stdout) as { 'virtual-size': number };
      return { virtualBytes, heldBytes: ranges.reduce((sum, { start, end }) => sum + end + 1 - start, 0) };
    },
    async [Symbol.asyncDispose]() {
      await fixture[Symbol.asyncDispose]();
      await rm(folder, { recursive: true, force: true });
    },
  };
  return ground;
}

/** Between tests: no faults, no disks, nothing counted. */
export async function clearGround({ fixture, azure, disks }: UploadGround): Promise<void> {
  const { sandbox, compute } = fixture;
  sandbox.faults.clear();
  sandbox.rights.reset();
  for (const { name = '', tags } of await disks()) {
    const run = tags?.['landfall-run'];
    if (run === undefined) await compute.disks.delete(GROUP, name, FAST);
    else await removeDisk(azure, name, { run, signal: soon() });
  }
  sandbox.requests.clear();
}

export function requestOf(changes: Partial<UploadRequest> = {}): UploadRequest {
  return {
    machine: machineWith(),
    disk: '0',
    diskBytes: DISK_BYTES,
    to: {},
    form: { kind: 'blocks', blockBytes: BLOCK_BYTES },
    contentId: 'content-1',
    maxFileBytes: 0,
    ...changes,
  };
}

export function openSink(
  { azure }: Pick<UploadGround, 'azure'>,
  context: FakeStepContext = createStepContext(),
  changes: Partial<UploadRequest> = {},
): Promise<BlockSink> {
  return openPageSink(azure, requestOf(changes), context);
}

export function write(sink: BlockSink, index: number, signal = soon()): Promise<void> {
  const bytes = BLOCKS.get(index) as Buffer;
  return sink.writeBlock({ index, bytes, sha256: hash('sha256', bytes, 'buffer') }, signal);
}

export async function writeAll(sink: BlockSink, indexes: Iterable<number> = BLOCKS.keys()): Promise<void> {
  const signal = soon();
  await Promise.all([...indexes].map((index) => write(sink, index, signal)));
}

export function finish(sink: BlockSink): Promise<Artifact> {
  const linear = createHash('sha256');
  for (const bytes of BLOCKS.values()) linear.update(hash('sha256', bytes, 'buffer'));
  return sink.finish({ blockCount: BLOCKS.size, linearSha256: linear.digest() });
}

export function soon(): AbortSignal {
  return AbortSignal.timeout(20_000);
}

function contentOf(blocks: ReadonlyMap<number, Buffer>): Buffer {
  const content = Buffer.alloc(DISK_BYTES);
  for (const [index, bytes] of blocks) bytes.copy(content, index * BLOCK_BYTES);
  return content;
}

/** What is after the disk's end is zeros. */
function randomBlock(index: number): Buffer {
  return randomBytes(BLOCK_BYTES).fill(0, Math.min(BLOCK_BYTES, DISK_BYTES - index * BLOCK_BYTES));
}
