/**
 * Small durable state: one JSON file, held in memory, written whole. A reader never sees a half-written file, also
 * after a kill: it is written beside and renamed over. It is not flushed to the disk: a rehearsal need not survive
 * a power cut, and a flush per uploaded part would cost more than the part.
 */
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { LandfallError } from '../domain/errors.ts';

export type Store<T> = {
  /** The state as the last finished or running update left it; not to be changed by the reader. */
  read(): Readonly<T>;
  /**
   * Changes the state in place, synchronously, and resolves once that is on disk. A change that throws changes
   * nothing: it works on a copy.
   */
  update<R>(change: (state: T) => R): Promise<R>;
};

/** Opens the file, or starts from `initial` where there is none. Throws `internal` where it holds no JSON. */
export async function openStore<T>(file: string, initial: T): Promise<Store<T>> {
  await mkdir(dirname(file), { recursive: true });
  let state = (await readJson<T>(file)) ?? structuredClone(initial);
  let writing: Promise<void> | null = null;
  let queued: Promise<void> | null = null;

  /** Updates that come while a write is under way share the next one. */
  const save = (): Promise<void> => {
    if (queued !== null) return queued;
    const previous = writing ?? Promise.resolve();
    const next = previous
      .catch(() => undefined)
      .then(() => {
        queued = null;
        writing = next;
        return writeJson(file, state);
      });
    queued = next;
    return next;
  };

  return {
    read: () => state,
    async update(change) {
      const draft = structuredClone(state);
      const result = change(draft);
      state = draft;
      await save();
      return result;
    },
  };
}

/** null where there is no such file. */
export async function readJson<T>(file: string): Promise<T | null> {
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw error;
  });
  if (text === null) return null;
  try {
    return JSON.parse(text) as T;
  } catch (error) {
    throw new LandfallError({
      code: 'internal',
      message: `Reading the sandbox's state in ${file} failed: it is not JSON. Remove its folder to start afresh.`,
      cause: error,
    });
  }
}

/** Replaces the file whole. One writer per file at a time. Only the owner may read it: it may hold a secret. */
export async function writeJson(file: string, value: unknown): Promise<void> {
  const temporary = `${file}.new`;
  await writeFile(temporary, JSON.stringify(value), { mode: 0o600 });
  await rename(temporary, file);
}
