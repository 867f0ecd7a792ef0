/** Serialises what touches one name; different names go side by side. */

export type Locks = <T>(name: string, work: () => Promise<T>) => Promise<T>;

export function createLocks(): Locks {
  const tails = new Map<string, Promise<unknown>>();
  return async (name, work) => {
    const turn = (tails.get(name) ?? Promise.resolve()).then(work, work);
    tails.set(name, turn);
    try {
      return await turn;
    } finally {
      if (tails.get(name) === turn) tails.delete(name);
    }
  };
}
