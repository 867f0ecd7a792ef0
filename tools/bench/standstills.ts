/**
 * When an event loop served nothing, and how much of that was the machine's doing: what it kept at the same time from an
 * idle process, which asks for nothing but to be woken, it kept from everybody.
 */

/** On the monotonic clock, which is the same for all processes of a machine. */
export type Standstill = { fromMs: number; toMs: number };

const TICK_MS = 2;

/** Tells of each standstill of this process of `leastMs` or longer, until the function that it gives is called. */
export function watchStandstills(leastMs: number, tell: (standstill: Standstill) => void): () => void {
  let last = monotonicMs();
  const ticking = setInterval(() => {
    const now = monotonicMs();
    if (now - last - TICK_MS >= leastMs) tell({ fromMs: last + TICK_MS, toMs: now });
    last = now;
  }, TICK_MS);
  return () => clearInterval(ticking);
}

/** The part of it in which the idle process did not stand still. */
export function ownPartMs({ fromMs, toMs }: Standstill, ofIdle: readonly Standstill[]): number {
  const shared = ofIdle.map((idle) => Math.min(toMs, idle.toMs) - Math.max(fromMs, idle.fromMs));
  return toMs - fromMs - shared.filter((ms) => ms > 0).reduce((sum, ms) => sum + ms, 0);
}

function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
