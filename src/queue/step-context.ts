/** What one attempt may use, bound to its run, machine and lease. */
import type { StepContext } from '../domain/ports.ts';
import { openCheckpoints } from '../state/checkpoints.ts';
import type { Lease } from '../state/lease.ts';
import { openLedger } from '../state/ledger.ts';
import { openSlots } from '../state/slots.ts';
import type { State } from '../state/state.ts';

export type OpenStepContext = {
  state: State;
  run: string;
  machine: string;
  /** Named in the log lines. */
  step: string;
  lease: Lease;
  signal: AbortSignal;
  report: StepContext['report'];
  /** What the run's wave allows it to send. */
  plannedRate?: (() => number | undefined) | undefined;
};

export function openStepContext(open: OpenStepContext): StepContext {
  const { state, run, machine, step, lease, signal, report, plannedRate = () => undefined } = open;
  const { redis, clock } = state;
  return {
    run,
    machine,
    tags: { 'landfall:run': run, 'landfall:machine': machine },
    signal,
    clock,
    report,
    show(seen) {
      void state.consoles.write({ run, machine }, seen).catch(() => {});
    },
    ledger: openLedger({ redis, clock, run, machine, lease, signal }),
    checkpoints: openCheckpoints({ redis, run, machine, lease, signal }),
    slots: openSlots({ redis, run, machine, lease }),
    bandwidth: state.bandwidths.open({ run, plannedRate }),
    log(level, message, fields = {}) {
      // Lines are for eyes: a Redis that is away must not stop the data path.
      void state.events.append({ type: 'log', run, machine, step, level, message, fields }).catch(() => {});
    },
  };
}
