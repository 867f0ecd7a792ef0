/** What an action of an operator is made of: what it would do, in words, and the doing of it. */
import type { App } from '../../app.ts';
import type { MachineRecord } from '../../domain/machine-record.ts';
import type { RunRecord } from '../../domain/run-record.ts';
import type { SteerDeps } from '../../operations/steer.ts';
import type { Action, Outcome, Preview } from '../api/action.ts';

/** Read just before. */
export type DeedInput = {
  run: RunRecord;
  /** Of the run as a whole: then it is not of single machines. */
  isWhole: boolean;
  /** That are meant. */
  machines: readonly MachineRecord[];
  all: readonly MachineRecord[];
  action: Action;
  app: App;
  deps: SteerDeps;
  now: number;
  signal: AbortSignal;
};

export type Deed = {
  preview(of: DeedInput): Promise<Preview> | Preview;
  /** Throws what the operation throws. */
  perform(of: DeedInput & { reason: string }): Promise<Outcome>;
};

export function namesOf(records: readonly MachineRecord[]): string[] {
  return records.map(({ machine }) => machine.name);
}

const MOST_NAMED = 8;

/** `web01, web02`, `web01, web02 … and 40 more`. */
export function nameSome(names: readonly string[]): string {
  if (names.length <= MOST_NAMED) return names.join(', ');
  return `${names.slice(0, MOST_NAMED).join(', ')} and ${names.length - MOST_NAMED} more`;
}

/** `1 machine is`, `12 machines are`. */
export function machinesAre(count: number): string {
  return `${count} ${count === 1 ? 'machine is' : 'machines are'}`;
}

export function machines(count: number): string {
  return `${count} ${count === 1 ? 'machine' : 'machines'}`;
}
