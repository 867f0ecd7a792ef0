/**
 * Copies the blocks that a digest ledger does not know yet, and keeps the ledger while it goes. What a kill costs: the
 * blocks under way, and those that were acknowledged since the last save, which is a tenth of a second ago at most, plus
 * the time that one save takes.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { type BlockCopy, copyBlocks } from '../blocks/copy-blocks.ts';
import { bytesOfBlock, type DiskReader } from '../blocks/disk-reader.ts';
import type { CopyProgress } from './copy-progress.ts';
import type { DigestLedger } from './digest-ledger.ts';

export type MissingCopy = Pick<BlockCopy, 'lanes' | 'write' | 'writeZeros' | 'signal'> & {
  reader: DiskReader;
  digests: DigestLedger;
  /** Blocks that may have to be copied. Left out: those that hold data, as the source tells. */
  candidates?(signal: AbortSignal): AsyncIterable<number>;
  /** Makes durable what was written so far; until then the ledger must not tell of it. */
  sync?(): Promise<void>;
  /** Hears of what a successor would find held, not of what was merely written. */
  progress?: CopyProgress;
};

export const SAVE_EVERY_MS = 100;

export async function copyMissing(copy: MissingCopy): Promise<void> {
  const { reader, digests, progress } = copy;
  const failed = new AbortController();
  const ended = new AbortController();
  const signal = AbortSignal.any([copy.signal, failed.signal]);
  const saving = keepSaving(copy, ended.signal).catch((error: unknown) => failed.abort(error));
  try {
    await copyBlocks({
      ...copy,
      indexes: missingBlocks(copy, signal),
      onCopied: ({ index, sha256 }) => {
        digests.set(index, sha256);
        if (sha256 === null) progress?.leaveOut(bytesOfBlock(index, reader.bytes));
      },
      signal,
    });
  } finally {
    ended.abort();
    // While Redis is away a save hangs: whoever was told to stop must not wait for it.
    if (!copy.signal.aborted) await saving;
  }
  failed.signal.throwIfAborted();
  await saveNow(copy);
}

async function* missingBlocks(
  { reader, digests, candidates }: MissingCopy,
  signal: AbortSignal,
): AsyncGenerator<number> {
  for await (const index of candidates?.(signal) ?? reader.dataBlocks(0, signal))
    if (!digests.isKnown(index)) yield index;
}

async function keepSaving(copy: MissingCopy, ended: AbortSignal): Promise<void> {
  while (!ended.aborted) {
    await sleep(SAVE_EVERY_MS, undefined, { signal: ended }).catch(() => {});
    await saveNow(copy);
  }
}

/** Blocks that are set while the file is synced are not in this save: they may not be on the disk yet. */
async function saveNow({ digests, sync, progress }: MissingCopy): Promise<void> {
  const knownBytes = digests.knownBytes();
  const save = digests.prepareSave();
  if (save === null) return;
  await sync?.();
  await save();
  progress?.hold(knownBytes);
}
