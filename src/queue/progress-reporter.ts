/** Sends a step's newest progress to the board twice a second, with a rate over the last ten seconds up to now. */
import { type Job, stepKey } from '../domain/job.ts';
import type { Progress } from '../domain/ports.ts';
import type { State } from '../state/state.ts';

const FLUSH_MS = 500;
const RATE_WINDOW_MS = 10_000;

export type ProgressReporter = {
  report(progress: Progress): void;
  /** Says what a step waits for, beside the bytes that were reported last. */
  note(note: string): void;
  /** The attempt is over: sends what is left, without waiting for it, and that nothing moves any more. */
  end(): void;
  /** Sends nothing more: another attempt may report by now. */
  stop(): void;
};

export function createProgressReporter(state: State, job: Job): ProgressReporter {
  let newest: Progress | null = null;
  let last: Progress = { doneBytes: 0, totalBytes: 0, note: '' };
  let shownRate = 0;
  let isSending = false;
  const samples: { at: number; doneBytes: number }[] = [];

  /** Also while nothing is reported, until the rate that was shown has come down to nothing. */
  const takeDue = (): Progress | null => {
    const due = newest ?? (shownRate > 0 ? last : null);
    newest = null;
    return due;
  };
  const send = async (progress: Progress, bytesPerSecond: number): Promise<void> => {
    shownRate = bytesPerSecond;
    const of = { machine: job.machine, step: stepKey(job) };
    await state.progress.write(job.run, { ...progress, ...of, bytesPerSecond, at: Date.now() });
  };
  // Never awaited on the data path, and never two at once: Redis may be away for long.
  const timer = setInterval(() => {
    const due = isSending ? null : takeDue();
    if (due === null) return;
    isSending = true;
    const { doneBytes } = due;
    void send(due, rate(samples, { at: performance.now(), doneBytes }))
      .catch(() => {})
      .finally(() => {
        isSending = false;
      });
  }, FLUSH_MS);

  return {
    report(progress) {
      newest = progress;
      last = progress;
    },
    note(note) {
      last = { ...last, note };
      newest = last;
    },
    end() {
      clearInterval(timer);
      const due = takeDue();
      if (due !== null) void send(due, 0).catch(() => {});
    },
    stop: () => clearInterval(timer),
  };
}

function rate(samples: { at: number; doneBytes: number }[], now: { at: number; doneBytes: number }): number {
  samples.push(now);
  while (samples.length > 2 && now.at - (samples[0]?.at ?? now.at) > RATE_WINDOW_MS) samples.shift();
  const first = samples[0];
  if (first === undefined || now.at === first.at) return 0;
  return Math.max(0, ((now.doneBytes - first.doneBytes) * 1000) / (now.at - first.at));
}
