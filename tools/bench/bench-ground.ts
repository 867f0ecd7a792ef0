/** What benches stand on: a folder, Redis, disks, clouds and workers. All of it ends with the ground. */
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm, statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { formatBytes } from '../../src/domain/byte-size.ts';
import { startTool } from '../../src/processes/child.ts';
import { makeScratchFolder, sweepScratchFolders } from '../../src/processes/scratch-folder.ts';
import { startRedisServer } from '../../src/state/redis-server.ts';
import { type Cloud, startCloud } from './cloud.ts';
import { makeGuestDisk } from './guest-disk.ts';
import type { Standstill } from './standstills.ts';
import { runTransfer } from './transfer.ts';
import type { TransferFigures, UploadJob } from './transfer-job.ts';

export type BenchGround = AsyncDisposable & {
  signal: AbortSignal;
  runs: number;
  /** Bytes of data that a bench works on: what it wants, or what the command line says instead. */
  dataBytes(wanted: number): number;
  /** A folder for one bench. */
  openFolder(): Promise<AsyncDisposable & { path: string }>;
  /** A file system full of a machine's programs; the same file for all who ask for the same length. */
  guestDisk(lengthBytes: number): Promise<string>;
  openCloud(options?: { dropsBlocks?: boolean }): Promise<Cloud>;
  /** Moves a disk, each time in a run of its own. */
  upload(work: UploadWork): Promise<TransferFigures>;
  uploadJob(work: UploadWork): UploadJob;
  /** Of a worker that moves disks to this cloud. */
  environmentOf(cloud: Cloud): Readonly<Record<string, string>>;
  /** Keeps what a worker told of itself, for those who look at all of them. */
  keep(figures: TransferFigures): TransferFigures;
  kept: readonly TransferFigures[];
  /** When a process that does nothing stood still: it runs beside all benches. */
  idle: readonly Standstill[];
  say(line: string): void;
};

export type UploadWork = { cloud: Cloud; disk: string; form: 'parts' | 'blocks' };

export type GroundOptions = {
  runs: number;
  /** null: what each bench wants. */
  sizeBytes: number | null;
  signal: AbortSignal;
  say(line: string): void;
};

/** Guests' disks of 1 and 2 GiB, the two of the bench `memory` with 4 GiB each, and what its cloud keeps of those. */
const NEEDED_BYTES = 16 * 2 ** 30;

const IDLE_PROCESS = join(import.meta.dirname, 'idle-process.ts');

/** In memory: the folders of workers' sockets would count among the bytes that they write to disks. */
const SOCKET_PARENT = '/dev/shm';

export async function openBenchGround({ runs, sizeBytes, signal, say }: GroundOptions): Promise<BenchGround> {
  await sweepScratchFolders();
  if (sizeBytes === null) await requireSpace();
  await using stack = new AsyncDisposableStack();
  const folder = await makeScratchFolder('bench');
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const redis = stack.use(await startRedisServer({ folder: join(folder, 'redis'), log: say }));
  const guests = new Map<number, Promise<string>>();
  const kept: TransferFigures[] = [];
  const idle: Standstill[] = [];
  stack.use(
    await startTool({
      command: process.execPath,
      args: [IDLE_PROCESS],
      signal,
      onLine: (line) => idle.push(JSON.parse(line) as Standstill),
    }),
  );
  const openFolder = async () => {
    const path = await mkdtemp(join(folder, 'bench-'));
    return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
  };
  const stagingFolder = await mkdtemp(join(folder, 'staging-'));
  const socketFolder = await makeScratchFolder('bench', SOCKET_PARENT);
  stack.defer(() => rm(socketFolder, { recursive: true, force: true }));
  const uploadJob = ({ cloud, disk, form }: UploadWork): UploadJob => ({
    kind: 'upload',
    run: `bench-${randomUUID()}`,
    disk,
    form,
    bucket: cloud.bucket,
    redisUrl: redis.url,
    stagingFolder,
  });
  const environmentOf = ({ environment }: Cloud) => ({ ...environment, TMPDIR: socketFolder });
  const keep = (figures: TransferFigures): TransferFigures => {
    kept.push(figures);
    return figures;
  };
  const owned = stack.move();
  return {
    signal,
    runs,
    say,
    kept,
    idle,
    keep,
    uploadJob,
    environmentOf,
    openFolder,
    dataBytes: (wanted) => sizeBytes ?? wanted,
    guestDisk(lengthBytes) {
      const path = join(folder, `guest-${lengthBytes}.raw`);
      const made = guests.get(lengthBytes) ?? makeGuestDisk({ path, lengthBytes, signal }).then(() => path);
      guests.set(lengthBytes, made);
      return made;
    },
    async openCloud(options = {}) {
      await using owned = new AsyncDisposableStack();
      const { path } = owned.use(await openFolder());
      const cloud = owned.use(await startCloud({ ...options, folder: path, signal }));
      const both = owned.move();
      return { ...cloud, [Symbol.asyncDispose]: () => both.disposeAsync() };
    },
    upload: async (work) =>
      keep(await runTransfer({ job: uploadJob(work), environment: environmentOf(work.cloud), signal })),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Half-way through is late to learn that the disk is full. */
async function requireSpace(): Promise<void> {
  const { bavail, bsize } = await statfs(tmpdir());
  if (bavail * bsize >= NEEDED_BYTES) return;
  throw new Error(
    `${tmpdir()} has ${formatBytes(bavail * bsize)} left, and the benches need ${formatBytes(NEEDED_BYTES)}: make room, set TMPDIR to another folder, or say --size 256M for a small run.`,
  );
}
