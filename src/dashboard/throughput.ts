/** What was moved for a run over time. */
import type { RunRecord } from '../domain/run-record.ts';
import type { State } from '../state/state.ts';
import type { Throughput } from './api/run.ts';

export async function readThroughput(_state: State, _run: RunRecord): Promise<Throughput> {
  return { everyMs: 10_000, samples: [] };
}
