/** In which order machines land: what each comes after, and whether that can ever be. */

export type Ordered = { name: string; group: string | null; after: readonly string[] };

/** Names that are neither a machine's nor a group's with machines in it, each with the machine that names it: they never land. */
export function findUnknownNames(machines: readonly Ordered[]): { by: string; name: string }[] {
  const known = new Set(machines.flatMap(({ name, group }) => (group === null ? [name] : [name, group])));
  return machines.flatMap(({ name: by, after }) =>
    after.filter((name) => !known.has(name)).map((name) => ({ by, name })),
  );
}

/**
 * Machines and groups along a circle, the first one again at its end; null where there is none. A group has landed when all
 * of its machines have.
 */
export function findCycle(machines: readonly Ordered[]): string[] | null {
  const next = new Map<string, string[]>();
  for (const { name, group, after } of machines) {
    next.set(name, [...(next.get(name) ?? []), ...after]);
    if (group !== null) next.set(group, [...(next.get(group) ?? []), name]);
  }
  const finished = new Set<string>();
  for (const start of next.keys()) {
    const cycle = walk(start, { next, finished });
    if (cycle !== null) return cycle;
  }
  return null;
}

/** Without recursion: ten thousand machines, one after the other, are as many steps deep. */
function walk(
  start: string,
  { next, finished }: { next: ReadonlyMap<string, readonly string[]>; finished: Set<string> },
): string[] | null {
  const trail: string[] = [];
  const onTrail = new Set<string>();
  const rest: Iterator<string>[] = [];
  const enter = (name: string): void => {
    trail.push(name);
    onTrail.add(name);
    rest.push((next.get(name) ?? []).values());
  };
  if (!finished.has(start)) enter(start);
  while (trail.length > 0) {
    const step = rest.at(-1)?.next();
    if (step === undefined || step.done === true) {
      const left = trail.pop() ?? '';
      rest.pop();
      onTrail.delete(left);
      finished.add(left);
    } else if (onTrail.has(step.value)) {
      return [...trail.slice(trail.indexOf(step.value)), step.value];
    } else if (!finished.has(step.value)) {
      enter(step.value);
    }
  }
  return null;
}
