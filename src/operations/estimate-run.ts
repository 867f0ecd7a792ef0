/** What a run moved until now, and whether it will make its window. */
import { type Estimate, estimateRun } from '../domain/estimate.ts';
import type { MachineRecord } from '../domain/machine-record.ts';
import type { RunRecord } from '../domain/run-record.ts';
import type { StepProgress } from '../state/progress-board.ts';
import type { State } from '../state/state.ts';
import { BUCKET_MS, type ThroughputSample } from '../state/throughput-log.ts';

export type Throughput = { everyMs: number; samples: ThroughputSample[] };

/** One sample for each 10 s in which something moved, oldest first; of the run's last day. */
export async function readThroughput(state: State, run: string): Promise<Throughput> {
  return { everyMs: BUCKET_MS, samples: await state.throughput.read(run) };
}

/** `of`: all machines of the run and its progress, as they were just read. */
export async function readEstimate(
  state: State,
  of: { run: RunRecord; machines: readonly MachineRecord[]; progress: readonly StepProgress[] },
): Promise<Estimate> {
  const [samples, [limitSet = null], now] = await Promise.all([
    state.throughput.read(of.run.id),
    state.bandwidthLimits.read([{ kind: 'run', run: of.run.id }]),
    state.clock.now(),
  ]);
  return estimateRun({ ...of, samples, everyMs: BUCKET_MS, limitSet, now });
}
