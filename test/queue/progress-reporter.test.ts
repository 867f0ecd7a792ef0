import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createProgressReporter } from '../../src/queue/progress-reporter.ts';
import type { StepProgress } from '../../src/state/progress-board.ts';
import type { State } from '../../src/state/state.ts';
import { createJob } from '../fakes/machine.ts';

let written: StepProgress[];
let reporter: ReturnType<typeof createProgressReporter>;

beforeEach(() => {
  vi.useFakeTimers();
  written = [];
  const write = async (_run: string, progress: StepProgress): Promise<void> => void written.push(progress);
  reporter = createProgressReporter({ progress: { write } } as unknown as State, createJob('upload', '0'));
});
afterEach(() => {
  reporter.stop();
  vi.useRealTimers();
});

const uploaded = (doneBytes: number) => ({ doneBytes, totalBytes: 100e6, zeroBytes: 7, note: 'uploading' });

/** 2 MB/s for so long. */
async function send(seconds: number): Promise<void> {
  for (let second = 0; second <= seconds; second += 1) {
    reporter.report(uploaded(second * 2e6));
    await vi.advanceTimersByTimeAsync(1_000);
  }
}

test('tells the newest bytes with the rate of the last ten seconds', async () => {
  await send(20);
  expect(written.at(-1)).toMatchObject({ machine: 'web01', step: 'upload/0', ...uploaded(40e6) });
  expect(written.at(-1)?.bytesPerSecond).toBeGreaterThan(1.7e6);
  expect(written.at(-1)?.bytesPerSecond).toBeLessThan(2.2e6);
});

test('lets the rate fall to nothing where no more is reported, then keeps silent', async () => {
  await send(20);
  await vi.advanceTimersByTimeAsync(6_000);
  expect(written.at(-1)?.bytesPerSecond).toBeLessThan(1.1e6);
  await vi.advanceTimersByTimeAsync(6_000);
  expect(written.at(-1)).toMatchObject({ ...uploaded(40e6), bytesPerSecond: 0 });
  const { length } = written;
  await vi.advanceTimersByTimeAsync(60_000);
  expect(written.length).toBe(length);
});

test('leaves no rate behind when the attempt ends, and what it waits for', async () => {
  await send(5);
  reporter.note('waiting');
  reporter.end();
  expect(written.at(-1)).toMatchObject({ ...uploaded(10e6), note: 'waiting', bytesPerSecond: 0 });
  const { length } = written;
  reporter.end();
  await vi.advanceTimersByTimeAsync(5_000);
  expect(written.length).toBe(length);
});
