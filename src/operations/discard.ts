/**
 * Removing what a run made at the target. `discard` takes a machine's landing and artifacts back, `cleanup` only what a
 * failed or cancelled run left behind. Both go by the ledger first, then by tag for what was created just before a crash;
 * nothing without the run's tag is touched.
 */
import { LandfallError, saveError } from '../domain/errors.ts';
import { markDiscarded } from '../domain/machine-changes.ts';
import { isAtRest, type MachineRecord } from '../domain/machine-record.ts';
import type { LedgerEntry, Source, StepContext, TaggedThing, Target } from '../domain/ports.ts';
import type { RunRecord } from '../domain/run-record.ts';
import type { Conductor } from '../queue/conductor.ts';
import { openCheckpoints } from '../state/checkpoints.ts';
import { acquireLease } from '../state/lease.ts';
import { openLedger, readLedger } from '../state/ledger.ts';
import { openSlots } from '../state/slots.ts';
import type { State } from '../state/state.ts';
import { recordAction } from './operator.ts';

export type DiscardDeps = {
  state: State;
  conductor: Conductor;
  source: Source;
  target: Target;
  signal: AbortSignal;
};

export type Leftover = { machine: string | null; kind: string; detail: string };
export type Removal = Leftover & { outcome: 'removed' | 'failed'; message: string | null };

/** Takes back all that these machines made. Throws `conflict` while one of them moves. */
export async function discardMachines(
  of: { run: RunRecord; machines: readonly MachineRecord[]; reason: string | null },
  deps: DiscardDeps,
): Promise<Removal[]> {
  refuseMoving(of.run, of.machines);
  const removals: Removal[] = [];
  for (const record of of.machines) {
    const removed = await discardMachine(record, deps);
    removals.push(...removed);
    if (removed.some((removal) => removal.outcome === 'failed')) continue;
    const at = { run: of.run.id, machine: record.machine.name };
    await deps.conductor.change(at, (current, _view, now) => markDiscarded(current, now));
    await recordAction(deps.state, { ...at, action: 'discard', reason: of.reason });
  }
  return removals;
}

/** What a clean-up of this run would remove: things of machines that did not land. */
export async function findLeftovers(run: RunRecord, deps: DiscardDeps): Promise<TaggedThing[]> {
  const machines = await deps.state.machines.all(run.id, run.machines);
  const kept = new Set(machines.filter(({ status }) => !isDebris(status)).map(({ machine }) => machine.name));
  const tagged = await deps.target.findTagged(run.id, deps.signal);
  return tagged.filter(({ machine }) => (machine === null ? kept.size === 0 : !kept.has(machine)));
}

export async function cleanUpRun(run: RunRecord, deps: DiscardDeps): Promise<Removal[]> {
  const machines = await deps.state.machines.all(run.id, run.machines);
  const debris = machines.filter(({ status }) => isDebris(status));
  const removals = await discardMachines({ run, machines: debris, reason: 'cleanup' }, deps);
  for (const thing of await findLeftovers(run, deps)) {
    const removal = { machine: thing.machine, kind: thing.kind, detail: thing.id };
    removals.push(await attempt(removal, () => deps.target.removeTagged(thing, run.id, deps.signal)));
  }
  return removals;
}

async function discardMachine(record: MachineRecord, deps: DiscardDeps): Promise<Removal[]> {
  const { state, source, target, signal } = deps;
  const { run } = record;
  const machine = record.machine.name;
  const reply = await acquireLease(state.redis, { run, machine, step: 'discard' });
  if (reply.kind === 'taken') {
    throw new LandfallError({
      code: 'conflict',
      message: `${machine} is being discarded by somebody else right now.`,
    });
  }
  await using lease = reply.lease;
  const context: StepContext = {
    run,
    machine,
    tags: { 'landfall:run': run, 'landfall:machine': machine },
    signal: AbortSignal.any([signal, lease.signal]),
    clock: state.clock,
    ledger: openLedger({ redis: state.redis, clock: state.clock, run, machine, lease }),
    checkpoints: openCheckpoints({ redis: state.redis, run, machine, lease }),
    slots: openSlots({ redis: state.redis, run, machine }),
    log: (level, message, fields = {}) =>
      void state.events
        .append({ type: 'log', run, machine, step: 'discard', level, message, fields })
        .catch(() => {}),
    report: () => {},
  };
  const removals: Removal[] = [];
  // Newest first: an instance before its image, an image before its snapshots.
  for (const entry of (await openEntries(state, record)).reverse()) {
    const removal = { machine, kind: entry.thing, detail: JSON.stringify(entry.ref ?? {}) };
    const remove = async (): Promise<void> => {
      await target.discard(entry, context);
      await context.ledger.settle(entry, 'discarded');
    };
    removals.push(await attempt(removal, remove));
  }
  await source.release({ from: record.plan.from, machine: record.machine }, context);
  return removals;
}

async function openEntries(state: State, record: MachineRecord): Promise<LedgerEntry[]> {
  const entries = await readLedger(state.redis, record.run);
  return entries.filter((entry) => entry.machine === record.machine.name && entry.state !== 'discarded');
}

async function attempt(leftover: Leftover, remove: () => Promise<void>): Promise<Removal> {
  try {
    await remove();
    return { ...leftover, outcome: 'removed', message: null };
  } catch (error) {
    return { ...leftover, outcome: 'failed', message: saveError(error).message };
  }
}

function isDebris(status: MachineRecord['status']): boolean {
  return status === 'failed' || status === 'cancelled' || status === 'discarded';
}

function refuseMoving(run: RunRecord, machines: readonly MachineRecord[]): void {
  const moving = machines.filter(({ status }) => !isAtRest(status)).map(({ machine }) => machine.name);
  if (moving.length === 0) return;
  throw new LandfallError({
    code: 'conflict',
    message: `${moving.join(', ')} of ${run.id} ${moving.length === 1 ? 'is' : 'are'} on the move. \`landfall cancel ${run.id}\` first.`,
  });
}
