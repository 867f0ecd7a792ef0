/** How fast a run, or a host's workers, may send: operators change it while they work, and see what holds. */
import { plannedRate } from '../domain/bandwidth-plan.ts';
import { formatByteRate } from '../domain/byte-rate.ts';
import type { RunRecord } from '../domain/run-record.ts';
import { liveWorkers } from '../state/heartbeats.ts';
import type { State } from '../state/state.ts';
import { recordAction } from './operator.ts';

/** Bytes per second, or no limit. */
export type BandwidthLimit = number | 'none';

export type LimitInForce = { limit: BandwidthLimit; setBy: 'operator' | 'wave' | null };

/** Workers heed it within about a second. `none` also lifts what the run's wave says. */
export async function limitRun(
  state: State,
  { run, limit, by, reason }: { run: RunRecord; limit: BandwidthLimit; by: string; reason: string | null },
): Promise<void> {
  await state.bandwidthLimits.write({ kind: 'run', run: run.id }, limit);
  await recordAction(state, {
    run: run.id,
    machine: null,
    action: `limit ${describeLimit(limit)}`,
    by,
    reason,
  });
}

/** Every run that is not archived may send from that host: each has it among its events. */
export async function limitHost(
  state: State,
  { host, limit, by, reason }: { host: string; limit: BandwidthLimit; by: string; reason: string | null },
): Promise<void> {
  await state.bandwidthLimits.write({ kind: 'host', host }, limit);
  const action = `limit host ${host} ${describeLimit(limit)}`;
  for (const run of await state.runs.unarchived())
    await recordAction(state, { run, machine: null, action, by, reason });
}

export async function limitOfRun(state: State, run: RunRecord): Promise<LimitInForce> {
  const [set = null] = await state.bandwidthLimits.read([{ kind: 'run', run: run.id }]);
  if (set !== null) return { limit: set, setBy: 'operator' };
  const ofWave = plannedRate(run.wave.limits, Date.now());
  return ofWave === undefined ? { limit: 'none', setBy: null } : { limit: ofWave, setBy: 'wave' };
}

export async function limitOfHost(state: State, host: string): Promise<LimitInForce> {
  const [set = null] = await state.bandwidthLimits.read([{ kind: 'host', host }]);
  return set === null ? { limit: 'none', setBy: null } : { limit: set, setBy: 'operator' };
}

/** Names of the hosts on which workers live now. */
export async function workingHosts(state: State): Promise<string[]> {
  return [...new Set((await liveWorkers(state.redis)).map(({ host }) => host))].sort();
}

export function describeLimit(limit: BandwidthLimit): string {
  return limit === 'none' ? 'none' : formatByteRate(limit);
}
