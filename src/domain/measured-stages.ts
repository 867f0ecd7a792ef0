/** How long the stages of a run took, of machines that are through with them. Pure. */
import { STEP_STAGES, type StepStage } from './job.ts';
import type { MachineRecord, Step } from './machine-record.ts';

export type StageTime = { medianMs: number; longestMs: number; machines: number };
export type StageTimes = ReadonlyMap<StepStage, StageTime>;

/** A stage that no machine is through with has no entry. */
export function measureStages(machines: readonly MachineRecord[]): StageTimes {
  const spans = new Map<StepStage, number[]>();
  for (const { steps } of machines) {
    for (const [stage, of] of Map.groupBy(Object.values(steps), ({ stage }) => stage)) {
      const span = spanOf(of);
      if (span !== null) spans.set(stage, [...(spans.get(stage) ?? []), span]);
    }
  }
  return new Map(
    STEP_STAGES.flatMap((stage) => {
      const sorted = spans.get(stage)?.sort((a, b) => a - b);
      return sorted === undefined ? [] : [[stage, timeOf(sorted)] as const];
    }),
  );
}

/** From the first start to the last end of its disks; null where not all of them are done. */
function spanOf(steps: readonly Step[]): number | null {
  let [first, last] = [Number.POSITIVE_INFINITY, 0];
  for (const { state, startedAt, endedAt } of steps) {
    if (state !== 'done' || startedAt === null || endedAt === null) return null;
    first = Math.min(first, startedAt);
    last = Math.max(last, endedAt);
  }
  return Math.max(0, last - first);
}

function timeOf(sorted: readonly number[]): StageTime {
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? 0;
  const lower = sorted.length % 2 === 0 ? (sorted[middle - 1] ?? upper) : upper;
  return { medianMs: (lower + upper) / 2, longestMs: sorted.at(-1) ?? 0, machines: sorted.length };
}
