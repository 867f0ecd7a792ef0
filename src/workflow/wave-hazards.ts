/** What no schema can say of a wave: names that collide, orders that cannot be, references that cannot be resolved. */
import { findBadEnvReference } from '../domain/env-reference.ts';
import type { JsonValue } from '../domain/json.ts';
import { findCycle, findUnknownNames } from '../domain/machine-order.ts';
import type { WaveMachine } from '../domain/wave.ts';
import { closestWord } from './closest-word.ts';
import { formatPath } from './wave-problem.ts';
import type { WaveReview } from './wave-review.ts';
import { isMapping, type WaveFile } from './wave-schema.ts';

/** Names that differ only in case collide too: they become file names in the evidence. */
export function findRepeatedNames({ yaml, data, problems }: WaveReview): void {
  if (!isMapping(data) || !Array.isArray(data.machines)) return;
  const first = new Map<string, number>();
  for (const [index, machine] of data.machines.entries()) {
    if (!isMapping(machine) || typeof machine.name !== 'string') continue;
    const name = machine.name.toLowerCase();
    const earlier = first.get(name);
    if (earlier === undefined) {
      first.set(name, index);
      continue;
    }
    const path = ['machines', index, 'name'];
    const { line } = yaml.positionOf(['machines', earlier, 'name']);
    problems.push({
      ...yaml.positionOf(path),
      where: formatPath(path),
      what: `is "${machine.name}", as is machines[${earlier}].name in line ${line}`,
      remedy: 'Give each machine a name of its own.',
    });
  }
}

/** Names of machines that a selection brings are known only when the wave is planned; then this is looked at again. */
export function findBadOrder(
  { yaml, problems }: WaveReview,
  { groups = {} }: Pick<WaveFile, 'groups'>,
  machines: readonly WaveMachine[],
): void {
  const names = machines.map(({ name }) => name);
  const complain = (path: readonly PropertyKey[], what: string, remedy: string): void => {
    problems.push({ ...yaml.positionOf(path), where: formatPath(path), what, remedy });
  };
  for (const name of Object.keys(groups)) {
    if (names.includes(name))
      complain(
        ['groups', name],
        `is "${name}", as is a machine`,
        'Give groups names of their own: `after` knows both.',
      );
  }
  for (const [index, { group }] of machines.entries()) {
    if (group === null || Object.hasOwn(groups, group)) continue;
    const meant = closestWord(group, Object.keys(groups));
    const remedy = meant === null ? 'Say what it is under `groups`.' : `Did you mean \`${meant}\`?`;
    complain(['machines', index, 'group'], `is no group of this wave: ${group}`, remedy);
  }
  if (machines.some(({ selectsMany }) => selectsMany === true)) return;
  for (const { by, name } of findUnknownNames(machines)) {
    const index = names.indexOf(by);
    if (Object.hasOwn(groups, name)) {
      const remedy = 'Name a group that has some, or a machine.';
      complain(['machines', index, 'after'], `names group ${name}, which has no machine`, remedy);
      continue;
    }
    const meant = closestWord(name, [...names, ...Object.keys(groups)]);
    const remedy = meant === null ? 'Name a machine or a group of this wave.' : `Did you mean \`${meant}\`?`;
    complain(['machines', index, 'after'], `names ${name}, which this wave does not have`, remedy);
  }
  const cycle = findCycle(machines);
  if (cycle === null) return;
  const index = names.findIndex((name) => cycle.includes(name));
  const circle = cycle.join(' → ');
  complain(
    ['machines', index, 'after'],
    `waits for itself: ${circle}`,
    'Take one of them out of an `after`.',
  );
}

export function findBadReferences({ yaml, data, problems }: WaveReview): void {
  const visit = (value: JsonValue, path: readonly PropertyKey[]): void => {
    if (typeof value === 'string') {
      const reference = findBadEnvReference(value);
      if (reference === null) return;
      const what = `refers to ${reference}, which no environment variable can be named`;
      const remedy = 'Use letters, digits and _.';
      problems.push({ ...yaml.positionOf(path), where: formatPath(path), what, remedy });
    } else if (value !== null && typeof value === 'object') {
      for (const [key, item] of Object.entries(value)) {
        visit(item, [...path, Array.isArray(value) ? Number(key) : key]);
      }
    }
  };
  if (!isMapping(data)) return;
  const { source, target, notify, defaults, machines } = data;
  const ofDefaults = isMapping(defaults) ? { to: defaults.to ?? null, hooks: defaults.hooks ?? null } : null;
  const options = { source, target, notify, defaults: ofDefaults };
  for (const [key, value] of Object.entries(options))
    if (value !== undefined) visit(value as JsonValue, [key]);
  if (!Array.isArray(machines)) return;
  for (const [index, machine] of machines.entries()) {
    if (!isMapping(machine)) continue;
    for (const key of ['from', 'to', 'hooks']) visit(machine[key] ?? null, ['machines', index, key]);
  }
}
