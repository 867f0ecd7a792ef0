/** What happened in a run, in order: what `watch`, `logs` and the dashboard show. */
import type { SavedError } from './errors.ts';
import { stepKey } from './job.ts';
import type { JsonObject } from './json.ts';
import type { MachineRecord, MachineStatus, Step } from './machine-record.ts';
import type { RunStatus } from './run-record.ts';

export type RunEvent =
  | { type: 'run'; run: string; status: RunStatus }
  | { type: 'machine'; run: string; machine: string; status: MachineStatus; error: SavedError | null }
  | {
      type: 'step';
      run: string;
      machine: string;
      step: string;
      state: StepEventState;
      try: number;
      error: SavedError | null;
    }
  | {
      type: 'log';
      run: string;
      machine: string;
      step: string;
      level: 'info' | 'warn' | 'error';
      message: string;
      fields: JsonObject;
    }
  /** Of the run as a whole, by Landfall itself: a gate, a receiver of notices that does not answer. */
  | { type: 'remark'; run: string; machine: null; level: 'info' | 'warn'; message: string }
  | {
      type: 'operator';
      run: string;
      machine: string | null;
      action: string;
      by: string;
      reason: string | null;
    };

export type StepEventState = 'offered' | 'started' | 'retrying' | 'done' | 'failed';

/** An event as the stream holds it. */
export type StoredEvent = RunEvent & {
  /** The stream's id: grows, and resumes a reader. */
  id: string;
  /** Milliseconds since the epoch. */
  at: number;
};

/** What a commit changed, as events. */
export function eventsBetween(before: MachineRecord, after: MachineRecord): RunEvent[] {
  const { run } = after;
  const machine = after.machine.name;
  const events: RunEvent[] = [];
  for (const step of Object.values(after.steps)) {
    const state = stepEventState(before.steps[stepKey(step)], step);
    if (state === null) continue;
    events.push({ type: 'step', run, machine, step: stepKey(step), state, try: step.try, error: step.error });
  }
  if (before.status !== after.status) {
    events.push({ type: 'machine', run, machine, status: after.status, error: after.error });
  }
  return events;
}

function stepEventState(before: Step | undefined, after: Step): StepEventState | null {
  if (before === undefined) return null;
  if (after.state === 'active' && after.try > before.try) return 'retrying';
  if (before.state !== after.state) {
    switch (after.state) {
      case 'active':
        return 'offered';
      case 'done':
        return 'done';
      case 'failed':
        return 'failed';
      case 'pending':
        return null;
    }
  }
  return before.startedAt === null && after.startedAt !== null ? 'started' : null;
}
