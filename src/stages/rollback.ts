/**
 * Rollback undoes a move: the landing goes, and the machine runs at its source again as it did before. It goes by the
 * ledger alone, each entry settled once what was before is there again, so it may be interrupted and repeated anywhere.
 *
 * The source comes first where that is safe: while nothing of the machine was put into service, a target that cannot be
 * asked keeps nobody from turning the source on. What is left behind there is seen to afterwards.
 */
import { LandfallError } from '../domain/errors.ts';
import { mayServe, type StepOutput } from '../domain/machine-record.ts';
import type { LedgerEntry, StepContext, StepOutcome } from '../domain/ports.ts';
import { runHooks } from './hooks.ts';
import { beginAnew, removeMade } from './remove-made.ts';
import {
  type Controlled,
  controlled,
  findEffect,
  notRestored,
  POWER,
  type PowerEffect,
  powerEffect,
  restoreAutostart,
  restoreNote,
  settleAs,
} from './source-effects.ts';
import type { StepInput } from './step-input.ts';

/** What may stand in the way for a while: an attempt at another step, a reader of its disks. */
type Obstacle = 'steps' | 'disks';
/** A reader on another host is noticed to be gone after 45 s. */
const MAX_HELD_MS = 120_000;
const LOOK_AGAIN_MS = 5_000;
/** A guest that heard its button and said nothing yet may still go down. */
const ECHO_MS = 60_000;

export async function rollBack(input: StepInput): Promise<StepOutcome<StepOutput>> {
  const { context } = input;
  const holding = await orWait(context, 'steps', () => input.holdOtherSteps(context.signal));
  if (holding.kind === 'wait') return holding;
  await using held = holding.value;
  void held;
  await requireSource(input);
  await runHooks(input, 'before-rollback');
  const removed = await removeMade(input);
  const failure = removed.find((entry) => entry.failure !== null)?.failure ?? null;
  // Two of one machine in service would be worse than none.
  if (failure !== null && mayServe(input.record)) throw failure;
  const waiting = await restoreSource(input);
  if (waiting !== null) return waiting;
  if (failure !== null) throw failure;
  await runHooks(input, 'after-rollback');
  await beginAnew(context);
  await context.checkpoints.delete(heldKey('steps'), heldKey('disks'));
  return { kind: 'done', value: { stage: 'rollback' } };
}

/** Of a machine that its source no longer has, the landing may be all that is left: nothing of it is removed. */
async function requireSource({ source, record, context }: StepInput): Promise<void> {
  try {
    await source.powerState(record.machine, context.signal);
  } catch (error) {
    context.signal.throwIfAborted();
    // It is there, in whatever state.
    if (error instanceof LandfallError && error.code === 'source-not-off') return;
    throw error;
  }
}

/** null once it is as it was. The entries say whether there is anything to do: nothing was turned off where nobody can. */
async function restoreSource(input: StepInput): Promise<StepOutcome<never> | null> {
  if (input.source.control === undefined) return null;
  const there = controlled(input);
  const waiting = await restorePower(input, there);
  if (waiting !== null) return waiting;
  await restoreNote(there);
  await restoreAutostart(there);
  return null;
}

async function restorePower(input: StepInput, there: Controlled): Promise<StepOutcome<never> | null> {
  const { context, machine } = there;
  const entry = await findEffect(context, POWER);
  if (entry === null) return null;
  const effect = powerEffect(entry);
  if (effect?.before === 'on') {
    const waiting = (await echoOf(input, { entry, effect })) ?? (await turnOn(there, entry));
    if (waiting !== null) return waiting;
    context.log('info', `${machine.name} runs at its source again.`);
  }
  await settleAs(context, entry, 'discarded');
  return null;
}

/** A guest that was asked to end and still runs is no guest that runs: it may be gone the next moment. */
async function echoOf(
  { source, record, context }: StepInput,
  { entry, effect }: { entry: LedgerEntry; effect: PowerEffect },
): Promise<StepOutcome<never> | null> {
  const { askedAt, heardAt } = effect;
  if (entry.state === 'done' || askedAt === null) return null;
  if ((await source.powerState(record.machine, context.signal)) === 'off') return null;
  const graceEndsAt = heardAt === null ? 0 : heardAt + record.plan.shutdown.graceSeconds * 1000;
  const leftMs = Math.max(graceEndsAt, askedAt + ECHO_MS) - (await context.clock.now());
  if (leftMs <= 0) return null;
  const afterMs = Math.ceil(Math.min(LOOK_AGAIN_MS, leftMs));
  return { kind: 'wait', afterMs, note: 'its guest was asked to shut down and may yet do so' };
}

/** null once the source itself says that it runs. */
async function turnOn(
  { source, control, machine, context }: Controlled,
  entry: LedgerEntry,
): Promise<StepOutcome<never> | null> {
  const { ledger, clock, signal } = context;
  // Written under the lease right before: a worker that slept through its end must not turn on what moves again.
  await ledger.settle(entry, entry.state, { turnedOnAt: await clock.now() });
  const outcome = await orWait(context, 'disks', () => control.powerOn(machine, signal));
  if (outcome.kind === 'wait') return outcome;
  if ((await source.powerState(machine, signal)) !== 'on') throw notRestored(machine, 'its power');
  return null;
}

/** Whatever stands in the way by a `conflict` is given two minutes to go, by another look each few seconds. */
async function orWait<T>(
  { checkpoints, clock, signal }: StepContext,
  obstacle: Obstacle,
  act: () => Promise<T>,
): Promise<StepOutcome<T>> {
  const key = heldKey(obstacle);
  try {
    return { kind: 'done', value: await act() };
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof LandfallError) || error.code !== 'conflict') throw error;
    const now = await clock.now();
    const since = (await checkpoints.get(key)) ?? now;
    if (typeof since === 'number' && now - since < MAX_HELD_MS) {
      await checkpoints.set(key, since);
      return { kind: 'wait', afterMs: LOOK_AGAIN_MS, note: error.message };
    }
    await checkpoints.delete(key);
    throw error;
  }
}

/** Since when it has been in the way. */
function heldKey(obstacle: Obstacle): string {
  return `rollback/held/${obstacle}`;
}
