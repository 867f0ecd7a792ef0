/** When a run ends as things go. Playing thousands of machines through takes a while: not in each round. */
import type { MachineRecord } from '../../domain/machine-record.ts';
import type { RunRecord } from '../../domain/run-record.ts';
import { readEstimate } from '../../operations/estimate-run.ts';
import type { StepProgress } from '../../state/progress-board.ts';
import type { State } from '../../state/state.ts';
import type { Estimate } from '../api/run.ts';

export type RunEstimate = {
  /** `isStale`: something changed that it rests on. */
  at(of: {
    run: RunRecord;
    records: ReadonlyMap<string, MachineRecord>;
    progress: readonly StepProgress[];
    now: number;
    isStale: boolean;
  }): Promise<Estimate>;
};

const EVERY_MS = 10_000;
const EVERY_MS_AFTER_CHANGE = 3_000;

export function createRunEstimate(state: State): RunEstimate {
  let known: { estimate: Estimate; at: number } | null = null;
  let isDue = true;
  return {
    async at({ run, records, progress, now, isStale }) {
      isDue ||= isStale;
      if (known !== null && now - known.at < (isDue ? EVERY_MS_AFTER_CHANGE : EVERY_MS))
        return known.estimate;
      const estimate = await readEstimate(state, { run, machines: [...records.values()], progress });
      known = { estimate, at: now };
      isDue = false;
      return estimate;
    },
  };
}
