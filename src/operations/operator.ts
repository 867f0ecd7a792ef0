/** Who did what: every action of an operator lands in the run's events. */
import { hostname, userInfo } from 'node:os';
import type { RunEvent } from '../domain/events.ts';
import type { Say } from '../domain/run-record.ts';
import type { State } from '../state/state.ts';

export type OperatorAction = { run: string; machine: string | null; action: string; reason: string | null };

export async function recordAction(state: State, action: OperatorAction): Promise<void> {
  await state.events.append(operatorEvent(action));
}

export function operatorEvent(action: OperatorAction): RunEvent {
  return { type: 'operator', by: operatorName(), ...action, reason: asOneLine(action.reason) };
}

/** The same for records that hold who said so. */
export async function sayNow(state: State, reason: string | null): Promise<Say> {
  return { by: operatorName(), at: await state.clock.now(), reason: asOneLine(reason) };
}

function operatorName(): string {
  return `${process.env.SUDO_USER ?? userInfo().username}@${hostname()}`;
}

/** Trails are read line by line, at terminals. */
function asOneLine(reason: string | null): string | null {
  return reason?.replace(/[\s\p{Cc}]+/gu, ' ').trim() ?? null;
}
