/**
 * Writes down, every ten seconds, what each run moved in them. Every process that schedules does it, at the same moments of
 * Redis's clock and from the same progress, so that what they write is the same; while none lives there is a gap.
 */
import { rateInForce } from '../domain/bandwidth-plan.ts';
import { isEnded, type RunRecord } from '../domain/run-record.ts';
import type { StepProgress } from '../state/progress-board.ts';
import type { State } from '../state/state.ts';
import { BUCKET_MS } from '../state/throughput-log.ts';
import { within } from '../state/within.ts';

const CLOSE_MS = 500;
/** Progress comes to the board twice a second; and a timer that is early would look at the bucket before. */
const AFTER_MS = 500;

export type ThroughputSampler = {
  /** Looks at the bucket that ended last before `now` (Redis's clock). */
  sample(now: number): Promise<void>;
};

export function startThroughputSampler({
  state,
  onError,
}: {
  state: State;
  onError: (error: Error) => void;
}): AsyncDisposable {
  const stopping = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  let sampler: ThroughputSampler | null = null;
  const look = async (): Promise<void> => {
    const now = await state.clock.now();
    sampler ??= createThroughputSampler(state, now);
    await sampler.sample(now);
  };
  /** When a bucket has ended, by Redis's clock as far as it is known here. */
  const again = (now: number): void => {
    if (stopping.signal.aborted) return;
    timer = setTimeout(
      () => {
        round = look()
          .catch(onError)
          .then(() => state.clock.now())
          .then(again)
          .catch(() => again(Date.now()));
      },
      BUCKET_MS - (now % BUCKET_MS) + AFTER_MS,
    );
  };
  // At once, too: what is done already was moved before, and what comes from now on is counted.
  let round = look().catch(onError);
  again(Date.now());
  return {
    async [Symbol.asyncDispose]() {
      stopping.abort();
      clearTimeout(timer);
      await within(CLOSE_MS, round);
    },
  };
}

/** What of a run was on the board when it was last looked at: bytes done by step. */
type Seen = Map<string, number>;

export function createThroughputSampler(state: State, startedAt: number): ThroughputSampler {
  const runs = new Map<string, { seen: Seen; at: number; isActive: boolean }>();

  const sampleRun = async (run: RunRecord, now: number): Promise<void> => {
    const last = runs.get(run.id);
    const isActive = !isEnded(run.status) && run.status !== 'scheduled';
    // Nothing moves, and nothing has moved since the last look: that spares reading the board of every run that rests.
    if (last !== undefined && !isActive && !last.isActive) {
      last.at = now;
      return;
    }
    const progress = (await state.progress.read(run.id)).filter(isUpload);
    const isKnown = last !== undefined || run.createdAt >= startedAt;
    const seen = last?.seen ?? new Map<string, number>();
    const moved = countMoved(progress, seen);
    runs.set(run.id, { seen, at: now, isActive });
    // What was done before this process looked was moved at another time; and after a pause nobody knows when.
    if (!isKnown || moved === 0 || (last !== undefined && now - last.at > 2 * BUCKET_MS)) return;
    const [set = null] = await state.bandwidthLimits.read([{ kind: 'run', run: run.id }]);
    const at = (Math.floor(now / BUCKET_MS) - 1) * BUCKET_MS;
    await state.throughput.write(run.id, {
      at,
      bytesPerSecond: (moved * 1000) / BUCKET_MS,
      limitBytesPerSecond: rateInForce(set, run.wave.limits, at),
    });
  };

  return {
    async sample(now) {
      const live = await state.runs.unarchived();
      for (const id of runs.keys()) if (!live.includes(id)) runs.delete(id);
      for (const id of live) {
        const run = await state.runs.get(id);
        if (run !== null) await sampleRun(run, now);
      }
    },
  };
}

/** Spooling and comparing do not move anything to the target. */
function isUpload({ step }: StepProgress): boolean {
  return step.startsWith('upload');
}

/** Since the last look. A step that is behind what it was has begun anew: from there on it counts again. */
function countMoved(progress: readonly StepProgress[], seen: Seen): number {
  let moved = 0;
  for (const { machine, step, doneBytes } of progress) {
    const key = `${machine} ${step}`;
    moved += Math.max(0, doneBytes - (seen.get(key) ?? 0));
    seen.set(key, doneBytes);
  }
  return moved;
}
