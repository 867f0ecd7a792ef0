/**
 * When an event loop served nothing, and how much of that was the machine's doing: while its thread was ready and waited for a
 * core, and what the machine kept at the same time from an idle process, which asks for nothing but to be woken.
 */
import { closeSync, openSync, readSync } from 'node:fs';

/** On the monotonic clock, which is the same for all processes of a machine. */
export type Standstill = {
  fromMs: number;
  toMs: number;
  /** So much of it the main thread was ready to run, and others had the cores. */
  waitedMs: number;
};

const TICK_MS = 2;

/** Tells of each standstill of this process of `leastMs` or longer, until the function that it gives is called. */
export function watchStandstills(leastMs: number, tell: (standstill: Standstill) => void): () => void {
  const waits = openWaits();
  let last = { at: monotonicMs(), waitedMs: waits.read() };
  const ticking = setInterval(() => {
    const now = { at: monotonicMs(), waitedMs: waits.read() };
    const fromMs = last.at + TICK_MS;
    if (now.at - fromMs >= leastMs) tell({ fromMs, toMs: now.at, waitedMs: now.waitedMs - last.waitedMs });
    last = now;
  }, TICK_MS);
  return () => {
    clearInterval(ticking);
    waits.close();
  };
}

/** What is left without what the machine did. */
export function ownPartMs({ fromMs, toMs, waitedMs }: Standstill, ofIdle: readonly Standstill[]): number {
  const shared = ofIdle.map((idle) => Math.min(toMs, idle.toMs) - Math.max(fromMs, idle.fromMs));
  const sharedMs = shared.filter((ms) => ms > 0).reduce((sum, ms) => sum + ms, 0);
  return Math.max(0, toMs - fromMs - Math.max(waitedMs, sharedMs));
}

/** The kernel's own account of the main thread: https://docs.kernel.org/scheduler/sched-stats.html */
function openWaits(): { read(): number; close(): void } {
  const file = openSync('/proc/self/schedstat', 'r');
  const text = Buffer.alloc(64);
  return {
    read() {
      const [, waitedNs = '0'] = text
        .toString('latin1', 0, readSync(file, text, 0, text.length, 0))
        .split(' ');
      return Number(waitedNs) / 1e6;
    },
    close: () => closeSync(file),
  };
}

function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
