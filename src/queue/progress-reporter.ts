/** Sends a step's newest progress to the board twice a second, with a rate over the last ten seconds. */
import { type Job, stepKey } from '../domain/job.ts';
import type { Progress } from '../domain/ports.ts';
import type { State } from '../state/state.ts';

const FLUSH_MS = 500;
const RATE_WINDOW_MS = 10_000;

export type ProgressReporter = {
  report(progress: Progress): void;
  /** Says what a step waits for, beside the bytes that were reported last. */
  note(note: string): void;
  /** Sends what is left, without waiting for it. */
  flush(): void;
  stop(): void;
};

export function createProgressReporter(state: State, job: Job): ProgressReporter {
  let newest: Progress | null = null;
  let last: Progress = { doneBytes: 0, totalBytes: 0, note: '' };
  let isSending = false;
  const samples: { at: number; doneBytes: number }[] = [];

  const send = async (): Promise<void> => {
    if (newest === null) return;
    const progress = newest;
    newest = null;
    const at = Date.now();
    const bytesPerSecond = rate(samples, { at: performance.now(), doneBytes: progress.doneBytes });
    await state.progress.write(job.run, {
      ...progress,
      machine: job.machine,
      step: stepKey(job),
      bytesPerSecond,
      at,
    });
  };
  // Never awaited on the data path, and never two at once: Redis may be away for long.
  const timer = setInterval(() => {
    if (isSending) return;
    isSending = true;
    void send()
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
      newest = { ...last, note };
    },
    flush: () => void send().catch(() => {}),
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
