/** The tokens that count now: who deletes an entry of the file locks its holder out with the next request. */
import { stat } from 'node:fs/promises';
import type { Log } from '../../log.ts';
import { digestToken, isCurrent, readTokenFile, type TokenEntry } from './token-file.ts';

export type TokenBook = {
  /** null: no such token, or not any more. */
  find(token: string): Promise<TokenEntry | null>;
  /** The same by the digest that a session remembers. */
  findDigest(sha256: string): Promise<TokenEntry | null>;
  isEmpty(): Promise<boolean>;
};

export function createTokenBook({ file, log }: { file: string; log: Log }): TokenBook {
  let entries: readonly TokenEntry[] = [];
  let reading: { mark: string; done: Promise<void> } | null = null;

  const refresh = async (): Promise<void> => {
    const mark = await markOf(file);
    if (reading?.mark !== mark) reading = { mark, done: read(mark) };
    // Whoever comes meanwhile is not judged by what was there before.
    await reading.done;
  };
  /**
   * A file that somebody is writing, or wrote wrongly, must not throw everybody out in the middle of a cutover: what it
   * held last goes on to count, and the log says so. A file that is gone holds nothing.
   */
  const read = async (mark: string): Promise<void> => {
    try {
      const found = (await readTokenFile(file)) ?? [];
      // Unless it has changed again, and was read faster.
      if (reading?.mark === mark) entries = found;
    } catch (error) {
      log('error', `${(error as Error).message} Until then the tokens that it held before count.`);
    }
  };
  const findDigest = async (sha256: string): Promise<TokenEntry | null> => {
    await refresh();
    return entries.find((entry) => entry.sha256 === sha256 && isCurrent(entry)) ?? null;
  };
  return {
    findDigest,
    async find(token) {
      const sha256 = digestToken(token);
      return sha256 === null ? null : findDigest(sha256);
    },
    async isEmpty() {
      await refresh();
      return !entries.some(isCurrent);
    },
  };
}

async function markOf(file: string): Promise<string> {
  try {
    const { ino, size, mtimeMs, ctimeMs } = await stat(file);
    return [ino, size, mtimeMs, ctimeMs].join(' ');
  } catch {
    return 'gone';
  }
}
