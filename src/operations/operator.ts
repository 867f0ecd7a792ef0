/** Who did what: every action of an operator lands in the run's events. */
import type { RunEvent } from '../domain/events.ts';
import type { Say } from '../domain/run-record.ts';
import type { State } from '../state/state.ts';

export type OperatorAction = {
  run: string;
  machine: string | null;
  action: string;
  /** Whoever was let in by the command line or the dashboard: only they know. */
  by: string;
  reason: string | null;
};

export async function recordAction(state: State, action: OperatorAction): Promise<void> {
  await state.events.append(operatorEvent(action));
}

export function operatorEvent(action: OperatorAction): RunEvent {
  return { type: 'operator', ...action, reason: asOneLine(action.reason) };
}

/** The same for records that hold who said so. */
export async function sayNow(
  state: State,
  { by, reason }: { by: string; reason: string | null },
): Promise<Say> {
  return { by, at: await state.clock.now(), reason: asOneLine(reason) };
}

/** Trails are read line by line, at terminals. */
export function asOneLine(reason: string | null): string | null {
  return reason?.replace(/[\s\p{Cc}]+/gu, ' ').trim() ?? null;
}
