/**
 * Keeps a worker's heap near what it holds. V8 lets the space of new objects double to 128 MiB, and garbage pile up to some
 * 200 MiB before its first full collection: a worker with 50 MiB of live objects grew past 350 MiB of memory.
 */
import { setFlagsFromString } from 'node:v8';

/** Beyond what is alive, before the next full collection. Those take 20 ms, mostly on threads of their own. */
const GROWTH_PERCENT = 50;

/**
 * For a Node that is to run worker pools; only at its start can it be told. 16 MiB, the default, cost 40 MiB of memory and
 * save no time. The first line of bin/landfall.mjs has them too.
 */
export const SMALL_HEAP_FLAGS = ['--max-semi-space-size=4'];

/**
 * Four MiB of new objects are swept by one thread in 1 or 2 ms. A helper that began must be waited for: one that the kernel
 * then let wait for a core held up the event loop for 10 to 28 ms.
 */
const SWEEP_ALONE = '--no-parallel-scavenge';

/** To be called once modules are loaded: by then the space for new objects is as large as a worker's work wants it. */
export function keepHeapSmall(): void {
  setFlagsFromString('--semi-space-growth-factor=1');
  setFlagsFromString(`--heap-growing-percent=${GROWTH_PERCENT}`);
  setFlagsFromString(SWEEP_ALONE);
}
