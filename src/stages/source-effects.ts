/**
 * What a cutover does to a machine at its source, as ledger entries: what was there before is written down before
 * anything is changed, and the rollback goes by that, newest first.
 *
 *   source-power       {before: on │ off, heardAt, askedAt}   settled as done once the source was seen to be off
 *   source-note        {before: text │ null}
 *   source-autostart   {before: true │ false}
 *
 * An entry without `before` changed nothing. All are settled as discarded when what was before is there again.
 */
import { LandfallError } from '../domain/errors.ts';
import type { JsonObject } from '../domain/json.ts';
import type { Machine } from '../domain/machine.ts';
import type { LedgerEntry, PowerState, Source, SourceControl, StepContext } from '../domain/ports.ts';
import { missing, type StepInput } from './step-input.ts';

export const POWER = 'source-power';
const NOTE = 'source-note';
const AUTOSTART = 'source-autostart';

/** Not the target's to discard. */
export function isSourceEffect({ thing }: Pick<LedgerEntry, 'thing'>): boolean {
  return thing === POWER || thing === NOTE || thing === AUTOSTART;
}

/** A machine whose source can turn it off and on. */
export type Controlled = {
  source: Source;
  control: SourceControl;
  machine: Machine;
  context: StepContext;
};

export function controlled({ source, record, context }: StepInput): Controlled {
  const { control } = source;
  if (control === undefined) throw missing(record, 'a source that turns machines off');
  return { source, control, machine: record.machine, context };
}

/** A machine that starts with its host would come back in the midst of its move. */
export async function keepOffWithHost({ control, machine, context }: Controlled): Promise<void> {
  const { ledger, signal } = context;
  const isOn = await control.isAutostarted(machine, signal);
  const entry = await ledger.intend(AUTOSTART);
  // What is on now was put there by a person: also after an earlier move of this run had turned it off.
  const known = hasBefore(entry) && !isOn ? entry : await ledger.settle(entry, 'intended', { before: isOn });
  await control.setAutostart(machine, false, signal);
  await settleAs(context, known, 'done');
}

/** For people who look at the source and wonder. */
export async function leaveNote({ control, machine, context }: Controlled, note: string): Promise<void> {
  const { ledger, signal } = context;
  const entry = await ledger.intend(NOTE);
  const before = hasBefore(entry) ? entry.ref : { before: await control.readNote(machine, signal) };
  const known = hasBefore(entry) ? entry : await ledger.settle(entry, 'intended', before ?? {});
  await control.writeNote(machine, note, signal);
  await settleAs(context, known, 'done');
}

/** What is known of how a machine was turned off. */
export type PowerEffect = {
  before: PowerState;
  /** When its guest was first asked so that it could hear; null: not yet. */
  heardAt: number | null;
  /** When it was last asked, or was about to be; null: never. */
  askedAt: number | null;
};

export function powerEffect({ ref }: LedgerEntry): PowerEffect | null {
  const { before, heardAt, askedAt } = ref ?? {};
  if (before !== 'on' && before !== 'off') return null;
  return { before, heardAt: momentOf(heardAt), askedAt: momentOf(askedAt) };
}

/** What a rollback must bring back: what ran before anything was done to it, and what a person turned on since. */
export async function rememberPower({ source, machine, context }: Controlled): Promise<void> {
  const { ledger, signal } = context;
  const before = await source.powerState(machine, signal);
  const entry = await ledger.intend(POWER);
  const known = powerEffect(entry)?.before;
  if (known === undefined || (known === 'off' && before === 'on'))
    await ledger.settle(entry, 'intended', { before });
}

/** The open entry of this thing; null: nothing stands to be undone. */
export async function findEffect({ ledger }: StepContext, thing: string): Promise<LedgerEntry | null> {
  const entries = await ledger.entries();
  return entries.findLast((entry) => entry.thing === thing && isOpen(entry)) ?? null;
}

export async function restoreNote({ control, machine, context }: Controlled): Promise<void> {
  const entry = await findEffect(context, NOTE);
  if (entry === null) return;
  if (hasBefore(entry)) {
    const { before } = entry.ref;
    const note = typeof before === 'string' ? before : null;
    await control.writeNote(machine, note, context.signal);
    if ((await control.readNote(machine, context.signal)) !== note) throw notRestored(machine, 'its note');
  }
  await settleAs(context, entry, 'discarded');
}

export async function restoreAutostart({ control, machine, context }: Controlled): Promise<void> {
  const entry = await findEffect(context, AUTOSTART);
  if (entry === null) return;
  if (hasBefore(entry)) {
    const wasOn = entry.ref.before === true;
    await control.setAutostart(machine, wasOn, context.signal);
    if ((await control.isAutostarted(machine, context.signal)) !== wasOn)
      throw notRestored(machine, 'its start with its host');
  }
  await settleAs(context, entry, 'discarded');
}

/** A settled entry stays as it is: second deliveries write nothing. */
export async function settleAs(
  { ledger }: StepContext,
  entry: LedgerEntry,
  state: 'done' | 'discarded',
  ref?: JsonObject,
): Promise<void> {
  if (entry.state !== state) await ledger.settle(entry, state, ref);
}

export function notRestored({ name }: Machine, what: string): LandfallError {
  return new LandfallError({
    code: 'tool-failed',
    message: `The rollback of ${name} put back ${what} at its source, and the source does not show it. See whether something else manages machines there.`,
    retryable: true,
    context: { machine: name },
  });
}

function hasBefore(entry: LedgerEntry): entry is LedgerEntry & { ref: JsonObject } {
  return entry.ref !== null && 'before' in entry.ref;
}

function isOpen({ state }: LedgerEntry): boolean {
  return state === 'intended' || state === 'done';
}

function momentOf(value: unknown): number | null {
  return typeof value === 'number' ? value : null;
}
