/** What every action of the sandbox's Azure works with. */
import { join } from 'node:path';
import type { SandboxLog } from '../front.ts';
import type { Store } from '../store.ts';
import type { AzureAccount } from './account.ts';
import type { Operations } from './operations.ts';
import type { PageStore } from './page-store.ts';
import type { CheckedRights } from './rights.ts';
import type { AzureState } from './state.ts';

/** The subscription's quotas, and what tests shorten. */
export type AzureLimits = {
  /** Cores of machines that are not deallocated, in all and by family. */
  cores: number;
  familyCores: Readonly<Record<string, number>>;
  machines: number;
  /** Managed disks, for Standard and Premium each. */
  disks: number;
  /** Sizes that the region does not sell to this subscription. */
  exhaustedSizes: readonly string[];
  /** Zones in which the region does not sell a size to this subscription, by size. */
  closedZones: Readonly<Record<string, readonly string[]>>;
  /** Types of disks that the region does not have. */
  missingDiskTypes: readonly string[];
  /** How long a long-running operation says `InProgress`, at least. */
  operationMs: number;
  /** What an operation's first answer and polls say in `Retry-After`; null: nothing, and clients use their own interval. */
  retryAfterSeconds: number | null;
  tokenSeconds: number;
  /** Checksums that the disks' endpoint refuses, as some do. */
  refusedChecksums: readonly ('crc64' | 'md5')[];
  /** Guests that boot at once; the others' operations go on until it is their turn. */
  concurrentBoots: number;
  /** What a guest gets at most, whatever its size says. */
  guestCpus: number;
  guestMemoryMib: number;
  /** How long a guest may take to shut down before it is forced. */
  shutdownMs: number;
};

export const DEFAULT_LIMITS: AzureLimits = {
  cores: 100,
  familyCores: {},
  machines: 25_000,
  disks: 50_000,
  exhaustedSizes: [],
  closedZones: {},
  missingDiskTypes: [],
  operationMs: 20,
  retryAfterSeconds: null,
  tokenSeconds: 24 * 60 * 60,
  refusedChecksums: [],
  concurrentBoots: 4,
  guestCpus: 2,
  guestMemoryMib: 512,
  shutdownMs: 30_000,
};

export type AzureFiles = {
  /** The uploaded bytes without footer, once a machine needs them. */
  disk(uniqueId: string): string;
  /** What machines write on top. */
  overlay(uniqueId: string): string;
  /** A guest's own folder: its console and its firmware variables. */
  machine(vmId: string): string;
  folders: { disks: string; machines: string };
};

export type AzureCloud = {
  store: Store<AzureState>;
  account: AzureAccount;
  files: AzureFiles;
  limits: AzureLimits;
  location: string;
  pages: PageStore;
  rights: CheckedRights;
  /** For example `https://127.0.0.1:4567`. */
  url: () => string;
  /** Milliseconds since the epoch. */
  now: () => number;
  log: SandboxLog;
};

/** The guests behind the machines. */
export type Fleet = AsyncDisposable & {
  /** Resolves once the guest runs; its firmware has only begun then. Throws where it cannot. */
  start(machineId: string): Promise<void>;
  /** Resolves once no guest runs. */
  end(machineId: string, options: { isForced: boolean }): Promise<void>;
  /** What the guest sent since it was last started; also after it ended. */
  console(machineId: string): Promise<Buffer>;
  /** PNG; null while no guest runs. */
  screenshot(machineId: string, signal: AbortSignal): Promise<Uint8Array | null>;
};

/** An action's world: the cloud and those who work in its background. */
export type AzureDesk = AzureCloud & { operations: Operations; fleet: Fleet };

export function nameFiles(root: string): AzureFiles {
  const folders = { disks: join(root, 'disks'), machines: join(root, 'machines') };
  return {
    folders,
    disk: (uniqueId) => join(folders.disks, `${uniqueId}.raw`),
    overlay: (uniqueId) => join(folders.disks, `${uniqueId}.qcow2`),
    machine: (vmId) => join(folders.machines, vmId),
  };
}
