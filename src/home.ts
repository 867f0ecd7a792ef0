/**
 * The home folder: one `landfall up` at a time owns it (a file lock that the kernel gives back however its owner ends)
 * and leaves a note there of where its Redis is.
 */
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { z } from 'zod';
import { LandfallError } from './domain/errors.ts';
import { type EnvironmentDigest, environmentDigestSchema } from './environment-digest.ts';
import { childEnvironment, tryTool } from './processes/child.ts';

export type UpNote = {
  pid: number;
  redisUrl: string;
  /** Of the environment that its workers have. */
  environment: EnvironmentDigest;
  /** Where its dashboard is; null: it serves none. */
  dashboard: string | null;
};

const upNoteSchema = z.object({
  pid: z.number().int().positive(),
  redisUrl: z.string(),
  environment: environmentDigestSchema,
  dashboard: z.string().nullable(),
});

export const homeFiles = (home: string) => ({
  lock: join(home, 'up.lock'),
  note: join(home, 'up.json'),
  log: join(home, 'up.log'),
  redis: join(home, 'redis'),
});

/** flock(1) ends with this status when another process holds the lock. */
const LOCK_TAKEN = 75;
/** Whoever asks `isHomeLocked` holds the lock for an instant, a command that looks at a resting home for a second or two. */
const LOCK_WAIT_SECONDS = 5;

/**
 * Takes the home for this process until disposed. Throws `conflict` when a live `up` owns it, and the signal's reason
 * when it aborts while the lock is waited for.
 */
export async function lockHome(home: string, signal?: AbortSignal): Promise<AsyncDisposable> {
  signal?.throwIfAborted();
  await mkdir(home, { recursive: true });
  if ((await readUpNote(home)) !== null) throw await homeTaken(home);
  const { lock } = homeFiles(home);
  // The holder lives as long as our end of its standard input: also a SIGKILL of this process frees the lock.
  const wait = ['-w', String(LOCK_WAIT_SECONDS), '-E', String(LOCK_TAKEN)];
  const holder = execa('flock', [...wait, lock, 'sh', '-c', 'echo locked; exec cat'], {
    stdin: 'pipe',
    reject: false,
    env: childEnvironment(),
    extendEnv: false,
    detached: true, // Ctrl-C in a terminal must reach us first.
  });
  // Not for the lock's whole life: what is interrupted later gives it back last.
  const giveUp = (): void => void holder.kill('SIGKILL');
  signal?.addEventListener('abort', giveUp);
  const failed = await Promise.race([
    new Promise<null>((resolve) => holder.stdout.once('data', () => resolve(null))),
    holder,
  ]);
  signal?.removeEventListener('abort', giveUp);
  signal?.throwIfAborted();
  if (failed !== null)
    throw failed.exitCode === LOCK_TAKEN ? await homeTaken(home) : lockBroken(lock, failed.message);
  // What a killed owner left would send commands to a process and a Redis that are gone.
  await rm(homeFiles(home).note, { force: true });
  return {
    async [Symbol.asyncDispose]() {
      holder.stdin.end();
      await holder;
    },
  };
}

async function homeTaken(home: string): Promise<LandfallError> {
  const owner = await readUpNote(home);
  return new LandfallError({
    code: 'conflict',
    message: `Another \`landfall up\`${owner === null ? '' : ` (process ${owner.pid})`} owns ${home}. End it with \`landfall down\`, or set LANDFALL_HOME to another folder.`,
  });
}

function lockBroken(lock: string, detail: string | undefined): LandfallError {
  return new LandfallError({
    code: 'tool-failed',
    message: `${lock} could not be locked with flock(1): ${detail ?? 'it said nothing'}. Is the package util-linux installed and the folder writable?`,
  });
}

/** Does a live `up` own this home? Asks the lock, not the note. */
export async function isHomeLocked(home: string): Promise<boolean> {
  const { exitCode } = await tryTool({
    command: 'flock',
    args: ['-n', '-E', String(LOCK_TAKEN), homeFiles(home).lock, 'true'],
  });
  return exitCode === LOCK_TAKEN;
}

export async function writeUpNote(home: string, note: UpNote): Promise<AsyncDisposable> {
  const file = homeFiles(home).note;
  await writeFile(`${file}.partial`, JSON.stringify(note), { mode: 0o600 });
  await rename(`${file}.partial`, file);
  return { [Symbol.asyncDispose]: () => rm(file, { force: true }) };
}

/** The note of the `up` that owns this home; null when none lives or it is not ready yet. */
export async function readUpNote(home: string): Promise<UpNote | null> {
  try {
    const note = upNoteSchema.parse(JSON.parse(await readFile(homeFiles(home).note, 'utf8')));
    return (await isHomeLocked(home)) ? note : null;
  } catch {
    return null;
  }
}
