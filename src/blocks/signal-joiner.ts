/** Joins signals once for a copy, not once for each block: all blocks of one copy come with the same signal. */

/** Gives a signal that aborts with `own` and with the one that it is asked with. */
export function createSignalJoiner(own: AbortSignal): (signal: AbortSignal) => AbortSignal {
  const joined = new WeakMap<AbortSignal, AbortSignal>();
  return (signal) => {
    const known = joined.get(signal);
    if (known !== undefined) return known;
    const both = AbortSignal.any([own, signal]);
    joined.set(signal, both);
    return both;
  };
}
