/**
 * Does a piece of work for a key one at a time. Whoever asks while it is under way shares the next time with all others
 * who ask until that begins: a hundred machines that land at once want their run looked at once, not a hundred times.
 */
export function inTurn<T>(work: (key: string) => Promise<T>): (key: string) => Promise<T> {
  const running = new Map<string, Promise<unknown>>();
  const next = new Map<string, Promise<T>>();
  return (key) => {
    const shared = next.get(key);
    if (shared !== undefined) return shared;
    const begin = (): Promise<T> => {
      next.delete(key);
      const turn = work(key);
      running.set(key, turn);
      const forget = (): void => {
        if (running.get(key) === turn) running.delete(key);
      };
      turn.then(forget, forget);
      return turn;
    };
    const before = running.get(key);
    const turn = before === undefined ? begin() : before.then(begin, begin);
    if (before !== undefined) next.set(key, turn);
    return turn;
  };
}
