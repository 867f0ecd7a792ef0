/**
 * Remembers what reading whole files has shown, so that it is read once and not again by each command and each try.
 * A verdict is filed under the hash of what it is about, fingerprints of the files included: when a file changes, the
 * verdict is simply not found any more. Only good verdicts are kept.
 */

import { randomUUID } from 'node:crypto';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { JsonValue } from '../domain/json.ts';

export type Verdicts = {
  /**
   * The kept verdict on `subject` (hexadecimal), else what `judge` says, which is then kept. Callers that ask at the
   * same time wait for one judgement.
   */
  once<T extends JsonValue>(question: {
    subject: string;
    signal: AbortSignal;
    judge: () => Promise<T>;
  }): Promise<T>;
};

/** Where verdicts outlive a process. */
export function verdictFolder(cacheFolder: string): string {
  return join(cacheFolder, 'verdicts');
}

/** `folder` null: they last as long as the process. */
export function createVerdicts(folder: string | null): Verdicts {
  const known = new Map<string, JsonValue>();
  const pending = new Map<string, Promise<unknown>>();
  return {
    once: async <T extends JsonValue>(question: {
      subject: string;
      signal: AbortSignal;
      judge: () => Promise<T>;
    }): Promise<T> => {
      const { subject, signal, judge } = question;
      for (let other = pending.get(subject); other !== undefined; other = pending.get(subject)) {
        await settledOrAborted(other, signal);
      }
      signal.throwIfAborted();
      const asked = ask({ known, folder, subject, judge });
      pending.set(subject, asked);
      try {
        return (await asked) as T;
      } finally {
        pending.delete(subject);
      }
    },
  };
}

async function ask<T extends JsonValue>(question: {
  known: Map<string, JsonValue>;
  folder: string | null;
  subject: string;
  judge: () => Promise<T>;
}): Promise<JsonValue> {
  const { known, folder, subject, judge } = question;
  const kept = known.get(subject) ?? (await readVerdict(folder, subject));
  const verdict = kept ?? (await judge());
  known.set(subject, verdict);
  if (kept === undefined) await writeVerdict({ folder, subject, verdict });
  return verdict;
}

/** Whoever waits for another's judgement leaves when its own signal aborts, and tries itself when the other failed. */
async function settledOrAborted(other: Promise<unknown>, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    await Promise.race([
      other.then(
        () => {},
        () => {},
      ),
      aborted,
    ]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

/** A store that cannot be read or written costs another reading, nothing else. */
async function readVerdict(folder: string | null, subject: string): Promise<JsonValue | undefined> {
  if (folder === null) return undefined;
  try {
    return JSON.parse(await readFile(join(folder, `${subject}.json`), 'utf8')) as JsonValue;
  } catch {
    return undefined;
  }
}

async function writeVerdict(entry: {
  folder: string | null;
  subject: string;
  verdict: JsonValue;
}): Promise<void> {
  const { folder, subject, verdict } = entry;
  if (folder === null) return;
  const file = join(folder, `${subject}.json`);
  const fresh = `${file}.${randomUUID()}`;
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await writeFile(fresh, JSON.stringify(verdict), { mode: 0o600 });
    await rename(fresh, file);
  } catch {
    // Read-only homes and full disks: the files will be read again.
  }
}
