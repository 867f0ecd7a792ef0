/** How things stand now, as far as metrics tell it: a few small replies of Redis for each run, none for its machines. */
import { MACHINE_STATUSES, type MachineStatus } from '../../domain/machine-record.ts';
import { isEnded, type RunRecord } from '../../domain/run-record.ts';
import { type PoolStanding, readPools } from '../../operations/pool-control.ts';
import type { Queues } from '../../queue/queues.ts';
import { type Heartbeat, liveWorkers } from '../../state/heartbeats.ts';
import type { State } from '../../state/state.ts';
import { BUCKET_MS, type ThroughputSample } from '../../state/throughput-log.ts';

export type RunStanding = {
  run: RunRecord;
  machines: Readonly<Record<MachineStatus, number>>;
  /** Of the newest ten seconds that are known; null: nothing moves. */
  throughput: ThroughputSample | null;
};

export type Standing = {
  runs: readonly RunStanding[];
  workers: readonly Heartbeat[];
  pools: readonly PoolStanding[];
};

/** What was written down before that is over. */
const STALE_MS = 3 * BUCKET_MS;

export async function readStanding(state: State, queues: Queues): Promise<Standing> {
  const [ids, workers, pools, now] = await Promise.all([
    state.runs.unarchived(),
    liveWorkers(state.redis),
    readPools({ state, queues }),
    state.clock.now(),
  ]);
  const runs = (await Promise.all(ids.map((id) => readRunStanding(state, { id, now })))).filter(
    (standing) => standing !== null,
  );
  return { runs, workers, pools };
}

async function readRunStanding(
  state: State,
  { id, now }: { id: string; now: number },
): Promise<RunStanding | null> {
  const [run, counts, samples] = await Promise.all([
    state.runs.get(id),
    state.machines.counts(id),
    state.throughput.read(id, now - STALE_MS),
  ]);
  if (run === null) return null;
  const machines = Object.fromEntries(
    MACHINE_STATUSES.map((status) => [status, counts[status]]),
  ) as RunStanding['machines'];
  return { run, machines, throughput: isEnded(run.status) ? null : (samples.at(-1) ?? null) };
}
