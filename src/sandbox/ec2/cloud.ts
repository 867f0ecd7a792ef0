/** What every action of the sandbox's EC2 works with. */
import { join } from 'node:path';
import type { JsonObject } from '../../domain/json.ts';
import type { LogLevel } from '../../domain/ports.ts';
import type { Health } from '../health.ts';
import type { ObjectReader, RoleReader } from '../neighbours.ts';
import type { Store } from '../store.ts';
import type { Ec2State } from './state.ts';

export type Log = (level: LogLevel, message: string, fields?: JsonObject) => void;

/** The account's quotas, and what tests shorten. */
export type Ec2Limits = {
  /** Import tasks that are active at once; beyond it requests are refused. */
  importTasks: number;
  /** Import tasks that are worked on at once; others wait as `pending`. */
  conversions: number;
  /** vCPUs of running instances. */
  vcpus: number;
  /** Instance types of which the region has none left. */
  exhaustedTypes: readonly string[];
  /** How long a failed import task says `deleting`. */
  deletingMs: number;
  /** Guests that boot at once; others stay `pending`, and the log says so. */
  concurrentBoots: number;
  /** What a guest gets at most, whatever its instance type describes. */
  guestCpus: number;
  guestMemoryMib: number;
  /** How long a guest may take to power off before it is forced. */
  shutdownMs: number;
  /** From a guest's start to its first `ok`, at the earliest. */
  healthyAfterMs: number;
  /** A guest that said nothing by then is `impaired`. */
  silentAfterMs: number;
  /** Snapshots under way that were started through EBS direct; beyond it StartSnapshot is refused. */
  pendingSnapshots: number;
  /** From CompleteSnapshot until a snapshot is `completed`, at the earliest. */
  sealingMs: number;
  /** EBS direct's requests a second, by action; Infinity: as many as come. AWS's figures where it names none. */
  ebsRequestsPerSecond: Readonly<Record<string, number>>;
};

export const DEFAULT_LIMITS: Ec2Limits = {
  importTasks: 20,
  conversions: 2,
  vcpus: 256,
  exhaustedTypes: [],
  deletingMs: 1_500,
  concurrentBoots: 4,
  guestCpus: 2,
  guestMemoryMib: 512,
  shutdownMs: 30_000,
  healthyAfterMs: 3_000,
  silentAfterMs: 300_000,
  pendingSnapshots: 100,
  sealingMs: 300,
  ebsRequestsPerSecond: {},
};

export type Ec2Clock = {
  /** Milliseconds since the epoch. */
  now(): number;
};

export type Ec2Files = {
  snapshot(id: string): string;
  /** While it is being written. */
  partialSnapshot(id: string): string;
  /** Which blocks a snapshot under way holds, with their digests. */
  blockLog(id: string): string;
  volume(id: string): string;
  /** A private link to an object under import. */
  download(taskId: string, disk: number): string;
  /** A guest's own folder: its console and its firmware variables. */
  instance(id: string): string;
  folders: { root: string; snapshots: string; volumes: string; downloads: string; instances: string };
};

export type Ec2Cloud = {
  store: Store<Ec2State>;
  files: Ec2Files;
  limits: Ec2Limits;
  clock: Ec2Clock;
  accountId: string;
  region: string;
  objects: ObjectReader;
  roles: RoleReader;
  log: Log;
};

/** Works on import tasks in the background. */
export type Imports = AsyncDisposable & {
  /** Begins to work on a task that was recorded as active. */
  submit(taskId: string): void;
  /** Stops the work on a task and settles it as failed. */
  cancel(taskId: string, reason: string): Promise<void>;
  progress(taskId: string): TaskProgress;
  /** Percent. */
  snapshotProgress(snapshotId: string): number;
};

export type TaskProgress = { percent: number; phase: string };

/** The guests behind the instances. */
export type Fleet = AsyncDisposable & {
  /** Boots an instance that was recorded as pending. */
  launch(id: string): void;
  /** Ends the guest of an instance that was recorded as stopping. */
  stop(id: string, options: { isForced: boolean }): void;
  /** Ends an instance that was recorded as shutting-down, and its volumes that go with it. */
  terminate(id: string): void;
  reboot(id: string): void;
  health(id: string): Promise<Health>;
  /** What the guest sent since it was last started, newest part; also after it ended. */
  console(id: string): Promise<Uint8Array>;
  /** PNG; null while no guest runs. */
  screenshot(id: string, signal: AbortSignal): Promise<Uint8Array | null>;
};

/** Snapshots that are written block by block, as EC2 sees them. */
export type BlockWrites = AsyncDisposable & {
  /** Gives up those that were idle for too long. */
  settle(): Promise<void>;
  /** Percent. */
  progress(snapshotId: string): number;
  /** Ends the writing of a snapshot whose record is gone. */
  discard(snapshotId: string): Promise<void>;
};

/** An action's world: the cloud and those who work in its background. */
export type Ec2Desk = Ec2Cloud & { imports: Imports; fleet: Fleet; writes: BlockWrites };

export function nameFiles(root: string): Ec2Files {
  const folders = {
    root,
    snapshots: join(root, 'snapshots'),
    volumes: join(root, 'volumes'),
    downloads: join(root, 'downloads'),
    instances: join(root, 'instances'),
  };
  return {
    folders,
    snapshot: (id) => join(folders.snapshots, `${id}.raw`),
    partialSnapshot: (id) => join(folders.snapshots, `${id}.partial`),
    blockLog: (id) => join(folders.snapshots, `${id}.blocks`),
    volume: (id) => join(folders.volumes, `${id}.qcow2`),
    download: (taskId, disk) => join(folders.downloads, `${taskId}.${disk}`),
    instance: (id) => join(folders.instances, id),
  };
}
