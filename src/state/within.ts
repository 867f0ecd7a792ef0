/** Courtesies to Redis on the way out: it may be away, and nothing depends on them. */

/** Waits for a promise, but no longer than `timeoutMs`, and forgives its failure. */
export async function within(timeoutMs: number, promise: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, timeoutMs);
  });
  try {
    await Promise.race([promise.then(() => {}), late]);
  } catch {
    // Redis went away meanwhile.
  } finally {
    clearTimeout(timer);
  }
}
