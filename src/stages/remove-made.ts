/**
 * Takes back what a machine made at the target and in staging, by its ledger, newest first: an instance before its
 * image, an image before its snapshots. Every entry is tried, so that one that fails keeps no other. Idempotent.
 */
import { asLandfallError, type LandfallError } from '../domain/errors.ts';
import type { MachineRecord } from '../domain/machine-record.ts';
import type { LedgerEntry, Source, StepContext, Target } from '../domain/ports.ts';
import { forgetAdmission } from './admit.ts';
import { forgetHooks } from './hooks.ts';
import { SHUTDOWN_KEY } from './shutdown.ts';
import { isSourceEffect } from './source-effects.ts';
import { removeStaging } from './staging.ts';

/** `failure`: why it is still there; null: it is gone. */
export type RemovedEntry = { entry: LedgerEntry; failure: LandfallError | null };

export async function removeMade(of: {
  /** Its plan's `${env:NAME}` resolved. */
  record: MachineRecord;
  source: Source;
  target: Target;
  stagingFolder: string;
  context: StepContext;
}): Promise<RemovedEntry[]> {
  const { record, source, target, stagingFolder, context } = of;
  const entries = await context.ledger.entries();
  const made = entries.filter((entry) => entry.state !== 'discarded' && !isSourceEffect(entry)).reverse();
  const removed: RemovedEntry[] = [];
  for (const entry of made) removed.push({ entry, failure: await removeEntry(entry, { target, context }) });
  await source.release({ from: record.plan.from, machine: record.machine }, context);
  await removeStaging({ stagingFolder, record });
  return removed;
}

async function removeEntry(
  entry: LedgerEntry,
  { target, context }: { target: Target; context: StepContext },
): Promise<LandfallError | null> {
  try {
    await target.discard(entry, context);
    await context.ledger.settle(entry, 'discarded');
    return null;
  } catch (error) {
    context.signal.throwIfAborted();
    const failure = asLandfallError(error);
    // Whoever works on it now sees to the rest.
    if (failure.code === 'lease-lost') throw failure;
    return failure;
  }
}

/** What was done towards a landing that is gone counts no more: a retry does all of it again. */
export async function beginAnew(context: StepContext): Promise<void> {
  await forgetHooks(context);
  await forgetAdmission(context);
  await context.checkpoints.delete(SHUTDOWN_KEY);
}
