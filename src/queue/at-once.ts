/** Does the same to many things, so many of them at once; the first failure ends it when those under way are over. */
export async function eachAtOnce<T>(
  items: readonly T[],
  { atOnce, work }: { atOnce: number; work: (item: T) => Promise<void> },
): Promise<void> {
  // One iterator for all of them: whoever is free takes the next.
  const rest = items.values();
  let hasFailed = false;
  const serve = async (): Promise<void> => {
    for (const item of rest) {
      if (hasFailed) return;
      try {
        await work(item);
      } catch (error) {
        hasFailed = true;
        throw error;
      }
    }
  };
  const served = await Promise.allSettled(Array.from({ length: atOnce }, serve));
  for (const each of served) if (each.status === 'rejected') throw each.reason;
}
