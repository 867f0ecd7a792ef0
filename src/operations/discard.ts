/**
 * Removing what a run made at the target. `discard` takes a machine's landing and artifacts back, `cleanup` only what a
 * failed or cancelled run left behind. Both go by the ledger first, then by tag for what was created just before a crash;
 * nothing without the run's tag is touched.
 */
import { LandfallError, saveError } from '../domain/errors.ts';
import { markDiscarded } from '../domain/machine-changes.ts';
import { isAtRest, type MachineRecord } from '../domain/machine-record.ts';
import type { Source, TaggedThing, Target } from '../domain/ports.ts';
import type { RunRecord } from '../domain/run-record.ts';
import type { WaveMachine } from '../domain/wave.ts';
import type { Conductor } from '../queue/conductor.ts';
import { openStepContext } from '../queue/step-context.ts';
import { beginAnew, removeMade } from '../stages/remove-made.ts';
import type { Lease } from '../state/lease.ts';
import type { State } from '../state/state.ts';
import { holdMachine, holdSteps } from './hold-machine.ts';
import { listMade } from './made-things.ts';
import { recordAction } from './operator.ts';
import { holdsLandingData } from './roll-back.ts';

export type DiscardDeps = {
  state: State;
  conductor: Conductor;
  source: Source;
  target: Target;
  stagingFolder: string;
  /** Puts the environment's values where a plan says `${env:NAME}`. */
  resolve: (plan: WaveMachine) => WaveMachine;
  /** Who acts: it goes into the audit trail. */
  by: string;
  signal: AbortSignal;
};

/** One thing at the target, in the words of `findTagged`. */
export type Leftover = { machine: string | null; kind: string; id: string | null };
export type Removal = Leftover & { outcome: 'removed' | 'failed'; message: string | null };

/** Takes back all that these machines made. Throws `conflict` while one of them moves or is worked on, and for committed ones. */
export async function discardMachines(
  of: { run: RunRecord; machines: readonly MachineRecord[]; reason: string | null },
  deps: DiscardDeps,
): Promise<Removal[]> {
  refuseMoving(of.run, of.machines);
  refuseCommitted(of.run, of.machines);
  const before = await listShared(of.run, deps);
  const removals: Removal[] = [];
  for (const record of of.machines) removals.push(...(await discardMachine(record, of.reason, deps)));
  if (!removals.some(isShared)) return removals;
  return withoutKept(removals, { before, after: await listShared(of.run, deps) });
}

/** Of the whole run: every machine that was in quarantine has an entry for it, and the last one takes it along. */
const SHARED_KIND = 'security-group';

function isShared({ kind, outcome }: Removal): boolean {
  return kind === SHARED_KIND && outcome === 'removed';
}

/** By id; null where the target does not tell: to name them is not worth a discard that fails. */
async function listShared(run: RunRecord, { target, signal }: DiscardDeps): Promise<Set<string> | null> {
  try {
    const tagged = await target.findTagged(run.id, signal);
    return new Set(tagged.filter(({ kind }) => kind === SHARED_KIND).map(({ id }) => id));
  } catch {
    signal.throwIfAborted();
    return null;
  }
}

/** A shared thing was removed where it was there before and is not any more; it is told once. */
function withoutKept(
  removals: readonly Removal[],
  { before, after }: { before: ReadonlySet<string> | null; after: ReadonlySet<string> | null },
): Removal[] {
  const told = new Set<string>();
  return removals.filter((removal) => {
    if (!isShared(removal) || removal.id === null || before === null || after === null) return true;
    const isRemoved = before.has(removal.id) && !after.has(removal.id) && !told.has(removal.id);
    told.add(removal.id);
    return isRemoved;
  });
}

/** What a clean-up of this run would remove: things of machines that did not land. */
export async function findLeftovers(run: RunRecord, deps: DiscardDeps): Promise<TaggedThing[]> {
  const machines = await deps.state.machines.all(run.id, run.machines);
  const kept = new Set(
    machines
      .filter((record) => !isDebris(record) && record.status !== 'rolled-back')
      .map(({ machine }) => machine.name),
  );
  const tagged = await deps.target.findTagged(run.id, deps.signal);
  return tagged.filter(({ machine }) => (machine === null ? kept.size === 0 : !kept.has(machine)));
}

export async function cleanUpRun(
  run: RunRecord,
  deps: DiscardDeps,
  reason: string | null = 'cleanup',
): Promise<Removal[]> {
  const machines = await deps.state.machines.all(run.id, run.machines);
  const debris = machines.filter(isDebris);
  const removals = await discardMachines({ run, machines: debris, reason }, deps);
  for (const thing of await findLeftovers(run, deps)) {
    const remove = (): Promise<void> => deps.target.removeTagged(thing, run.id, deps.signal);
    const { machine, kind, id } = thing;
    removals.push(outcomeOf({ machine, kind, id }, await failureOf(remove)));
  }
  return removals;
}

async function discardMachine(
  { run, machine: { name: machine } }: MachineRecord,
  reason: string | null,
  deps: DiscardDeps,
): Promise<Removal[]> {
  const { state, conductor, by, signal } = deps;
  await using lease = await holdMachine(state, { run, machine });
  // Under that lease nobody retries it: what is read now stays at rest.
  const record = await state.machines.get(run, machine);
  if (record === null || !isAtRest(record.status)) throw onTheMove(run, [machine]);
  if (record.committedAt !== null) throw committed(run, [machine]);
  await using steps = await holdSteps(state, record, signal);
  void steps;
  // Who did it comes before what it does, as the events are read.
  await recordAction(state, { run, machine, action: 'discard', by, reason });
  const removals = await removeAll(record, { ...deps, lease });
  if (removals.every((removal) => removal.outcome === 'removed')) {
    await conductor.change({ run, machine }, (current, _view, now) => markDiscarded(current, now), lease);
    await state.progress.clear(run, machine);
  }
  return removals;
}

async function removeAll(record: MachineRecord, deps: DiscardDeps & { lease: Lease }): Promise<Removal[]> {
  const { state, source, target, signal, lease, resolve, stagingFolder } = deps;
  const { run } = record;
  const machine = record.machine.name;
  const context = openStepContext({
    state,
    run,
    machine,
    step: 'discard',
    lease,
    signal: AbortSignal.any([signal, lease.signal]),
    report: () => {},
  });
  const resolved = { ...record, plan: resolve(record.plan) };
  const removed = await removeMade({ record: resolved, source, target, stagingFolder, context });
  if (removed.every(({ failure }) => failure === null)) await beginAnew(context);
  return removed.flatMap(({ entry, failure }) => {
    const made = listMade(entry);
    const told = failure !== null && made.length === 0 ? [{ kind: entry.thing, id: null }] : made;
    return told.map((thing) => outcomeOf({ machine, ...thing }, failure?.message ?? null));
  });
}

/** null: it succeeded. */
async function failureOf(remove: () => Promise<void>): Promise<string | null> {
  try {
    await remove();
    return null;
  } catch (error) {
    return saveError(error).message;
  }
}

function outcomeOf(leftover: Leftover, failure: string | null): Removal {
  return { ...leftover, outcome: failure === null ? 'removed' : 'failed', message: failure };
}

/** Not what failed after it was admitted: its landing may hold what is nowhere else. */
export function isDebris(record: MachineRecord): boolean {
  const { status } = record;
  return (
    (status === 'failed' || status === 'cancelled' || status === 'discarded') && !holdsLandingData(record)
  );
}

function refuseMoving(run: RunRecord, machines: readonly MachineRecord[]): void {
  const moving = machines.filter(({ status }) => !isAtRest(status)).map(({ machine }) => machine.name);
  if (moving.length > 0) throw onTheMove(run.id, moving);
}

function refuseCommitted(run: RunRecord, machines: readonly MachineRecord[]): void {
  const names = machines.filter(({ committedAt }) => committedAt !== null).map(({ machine }) => machine.name);
  if (names.length > 0) throw committed(run.id, names);
}

function committed(run: string, names: readonly string[]): LandfallError {
  const [are, they] = names.length === 1 ? ['is', 'it is'] : ['are', 'they are'];
  return new LandfallError({
    code: 'conflict',
    message: `Nothing was discarded: ${names.join(', ')} of ${run} ${are} committed, so ${they} what counts by now. Who really wants to delete ${names.length === 1 ? 'it' : 'them'} does so at the target itself.`,
    context: { run },
  });
}

function onTheMove(run: string, machines: readonly string[]): LandfallError {
  return new LandfallError({
    code: 'conflict',
    message: `${machines.join(', ')} of ${run} ${machines.length === 1 ? 'is' : 'are'} on the move. \`landfall cancel ${run}\` first.`,
  });
}
