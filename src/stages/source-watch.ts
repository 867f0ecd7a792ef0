/**
 * Nothing is mixed: a source must stay as export found it, off and unchanged, until its bytes have been copied. It is
 * checked before a copy, every 5 s during it, and after it. qemu's locks prove nothing here: a running machine's raw
 * disk is read without a word, so the power state and the fingerprint are what counts.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { LandfallError } from '../domain/errors.ts';
import type { Fingerprint, Image } from '../domain/image.ts';
import type { StepContext } from '../domain/ports.ts';
import { imageOf, type StepInput } from './step-input.ts';

export type SourceWatch = AsyncDisposable & {
  /** Aborts with the step, and as soon as the source was seen to have changed. */
  signal: AbortSignal;
  /** By disk: what the copy is made from. */
  fingerprints: Readonly<Record<string, Fingerprint>>;
  /** Throws `source-changed` or `source-not-off`. */
  check(): Promise<void>;
};

const CHECK_EVERY_MS = 5_000;

/** Checks at once, then every 5 s until it is disposed. */
export async function watchSource(input: StepInput, disks: readonly string[]): Promise<SourceWatch> {
  const fingerprints = await exportedStates(input, disks);
  const check = async (): Promise<void> => {
    await requireOff(input);
    for (const disk of disks) await requireUnchanged(input, disk, fingerprints[disk]);
  };
  await check();
  const watch = watchWhile({ check, context: input.context, machine: input.record.machine.name });
  return { ...watch, fingerprints, check };
}

/**
 * Long after the copy, right before its landing serves: a source that was started since has gone on without it, be it off
 * again or not. Disks that were spooled are gone from staging by then: of those, the state is all that can be asked.
 */
export async function requireAsExported(input: StepInput): Promise<void> {
  await requireOff(input);
  const { record, source } = input;
  if (source.control === undefined || record.plan.export === 'spool') return;
  const fingerprints = await exportedStates(input, Object.keys(record.images));
  for (const [disk, fingerprint] of Object.entries(fingerprints))
    await requireUnchanged(input, disk, fingerprint);
}

export type Watching = AsyncDisposable & {
  /** Aborts with the step, and when a check told of a change. */
  signal: AbortSignal;
};

/** Checks every 5 s until it is disposed. */
export function watchWhile(watched: {
  /** Throws `source-changed` or `source-not-off`; other failures are told and tried again. */
  check(): Promise<void>;
  context: Pick<StepContext, 'signal' | 'log'>;
  machine: string;
}): Watching {
  const changed = new AbortController();
  const ended = new AbortController();
  const watching = checkOften({ ...watched, changed, ended: ended.signal });
  return {
    signal: AbortSignal.any([watched.context.signal, changed.signal]),
    [Symbol.asyncDispose]: async () => {
      ended.abort();
      await watching;
    },
  };
}

/** Did the copy fail because its source did not stay as it was? */
export function isSourceFault(error: unknown): boolean {
  return (
    error instanceof LandfallError && (error.code === 'source-changed' || error.code === 'source-not-off')
  );
}

export async function requireOff({ source, record, context }: StepInput): Promise<void> {
  const { machine, run } = record;
  if ((await source.powerState(machine, context.signal)) === 'off') return;
  throw new LandfallError({
    code: 'source-not-off',
    message: `${machine.name} is running at its source: a copy of its disks would be torn. Shut it down there, then \`landfall retry ${run} ${machine.name}\`.`,
    context: { machine: machine.name },
  });
}

/** Remembers the state that export fixed, for the stages that copy it. */
export async function saveExportedState(
  { source, context }: StepInput,
  { disk, image }: { disk: string; image: Image },
): Promise<void> {
  await context.checkpoints.set(stateKey(disk), { fingerprint: await source.fingerprint(image) });
}

async function exportedStates(
  { record, source, context }: StepInput,
  disks: readonly string[],
): Promise<Record<string, Fingerprint>> {
  const states: Record<string, Fingerprint> = {};
  for (const disk of disks) {
    const saved = await context.checkpoints.get(stateKey(disk));
    states[disk] = isSavedState(saved) ? saved.fingerprint : await source.fingerprint(imageOf(record, disk));
  }
  return states;
}

async function requireUnchanged(
  { record, source }: StepInput,
  disk: string,
  expected: Fingerprint | undefined,
): Promise<void> {
  if ((await source.fingerprint(imageOf(record, disk))) === expected) return;
  const { name } = record.machine;
  throw new LandfallError({
    code: 'source-changed',
    message: `Disk ${disk} of ${name} changed at its source after it was exported, so copied parts would not fit together. Keep the machine off and its files untouched, then \`landfall discard ${record.run} ${name}\` and \`landfall retry ${record.run} ${name}\` copy it afresh.`,
    context: { machine: name, disk },
  });
}

async function checkOften(watch: {
  check: () => Promise<void>;
  context: Pick<StepContext, 'signal' | 'log'>;
  machine: string;
  changed: AbortController;
  ended: AbortSignal;
}): Promise<void> {
  const { check, changed, context, machine } = watch;
  const ended = AbortSignal.any([watch.ended, context.signal]);
  for (;;) {
    await sleep(CHECK_EVERY_MS, undefined, { signal: ended, ref: false }).catch(() => {});
    if (ended.aborted) return;
    try {
      await check();
    } catch (error) {
      if (isSourceFault(error)) return changed.abort(error);
      // A source that cannot be asked just now has not changed; the check after the copy decides.
      context.log('warn', `The source of ${machine} could not be checked: ${String(error)}`);
    }
  }
}

function stateKey(disk: string): string {
  return `export/${disk}`;
}

function isSavedState(value: unknown): value is { fingerprint: Fingerprint } {
  return (
    typeof value === 'object' &&
    value !== null &&
    'fingerprint' in value &&
    typeof value.fingerprint === 'string'
  );
}
