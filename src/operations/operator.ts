/** Who did what: every action of an operator lands in the run's events. */
import { hostname, userInfo } from 'node:os';
import type { State } from '../state/state.ts';

export type OperatorAction = { run: string; machine: string | null; action: string; reason: string | null };

export async function recordAction(state: State, action: OperatorAction): Promise<void> {
  await state.events.append({ type: 'operator', by: operatorName(), ...action });
}

function operatorName(): string {
  return `${process.env.SUDO_USER ?? userInfo().username}@${hostname()}`;
}
