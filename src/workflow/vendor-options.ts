/** The parts of a wave that its source and target define: each is checked against the schema of its adapter. */
import type { z } from 'zod';
import type { SourceAdapter, TargetAdapter } from '../domain/adapter.ts';
import type { JsonObject, JsonValue } from '../domain/json.ts';
import type { AdapterChoice } from '../domain/wave.ts';
import { closestWord } from './closest-word.ts';
import { allowEnvReferences } from './env-options.ts';
import { explainIssues } from './explain-issue.ts';
import type { WaveReview } from './wave-review.ts';
import { isMapping } from './wave-schema.ts';

type Vendor = { kind: string; options: z.ZodType<JsonObject> };

/** `source: { files: {…} }`: exactly one vendor, and its options as its schema gives them. */
export function chooseVendor<A extends Vendor>(
  review: WaveReview,
  { key, known }: { key: 'source' | 'target'; known: Readonly<Record<string, A>> },
): { adapter: A; choice: AdapterChoice } | null {
  const { yaml, data, problems } = review;
  const given = isMapping(data) ? data[key] : undefined;
  // The wave's own schema complained about anything else.
  if (!isMapping(given)) return null;
  const kinds = Object.keys(known);
  const [kind, second] = Object.keys(given);
  if (kind === undefined || second !== undefined) {
    const what =
      kind === undefined
        ? 'names no vendor'
        : `names more than one vendor (${Object.keys(given).join(', ')})`;
    problems.push({
      ...yaml.positionOf([key]),
      where: key,
      what,
      remedy: `Name one of: ${kinds.join(', ')}.`,
    });
    return null;
  }
  const adapter = Object.hasOwn(known, kind) ? known[kind] : undefined;
  if (adapter === undefined) {
    const meant = closestWord(kind, kinds);
    const remedy = meant === null ? `Known: ${kinds.join(', ')}.` : `Did you mean \`${meant}\`?`;
    const position = yaml.keyPositionOf([key, kind]);
    problems.push({ ...position, where: `${key}.${kind}`, what: `is no ${key} that Landfall knows`, remedy });
    return null;
  }
  const options = given[kind];
  if (!isMapping(options)) return null;
  const checked = checkOptions(review, {
    options,
    schema: allowEnvReferences(adapter.options),
    pathInFile: (path) => [key, kind, ...path],
  });
  return { adapter, choice: { kind, options: checked ?? {} } };
}

/** Each machine's `from` and `to`, the defaults merged in. */
export function checkMachineOptions(
  review: WaveReview,
  { source, target }: { source: SourceAdapter | null; target: TargetAdapter | null },
): { from: JsonObject | null; to: JsonObject | null }[] {
  const { data } = review;
  if (!isMapping(data) || !Array.isArray(data.machines)) return [];
  const defaults = isMapping(data.defaults) && isMapping(data.defaults.to) ? data.defaults.to : {};
  const fromSchema = source && allowEnvReferences(source.machineOptions);
  const toSchema = target && allowEnvReferences(target.machineOptions);
  if (toSchema !== null) {
    const pathInFile = (path: readonly PropertyKey[]) => ['defaults', 'to', ...path];
    checkOptions(review, { options: defaults, schema: toSchema, pathInFile });
  }
  const checkFrom = (from: JsonValue | undefined, index: number): JsonObject | null => {
    if (fromSchema === null || !isMapping(from)) return null;
    const pathInFile = (path: readonly PropertyKey[]) => ['machines', index, 'from', ...path];
    return checkOptions(review, { options: from, schema: fromSchema, pathInFile });
  };
  const checkTo = (to: JsonValue | undefined, index: number): JsonObject | null => {
    if (toSchema === null) return null;
    const own = isMapping(to) ? to : {};
    const pathInFile = (path: readonly PropertyKey[]) => pathOfMerged(path, { index, own, defaults });
    return checkOptions(review, { options: { ...defaults, ...own }, schema: toSchema, pathInFile });
  };
  return data.machines.map((machine, index) => {
    if (!isMapping(machine)) return { from: null, to: null };
    return { from: checkFrom(machine.from, index), to: checkTo(machine.to, index) };
  });
}

/** A key that a machine does not give itself stands in the defaults. */
function pathOfMerged(
  path: readonly PropertyKey[],
  { index, own, defaults }: { index: number; own: JsonObject; defaults: JsonObject },
): PropertyKey[] {
  const [key] = path;
  const isInherited = typeof key === 'string' && !Object.hasOwn(own, key) && Object.hasOwn(defaults, key);
  return isInherited ? ['defaults', 'to', ...path] : ['machines', index, 'to', ...path];
}

function checkOptions(
  { yaml, problems }: WaveReview,
  part: {
    options: JsonObject;
    schema: z.ZodType<JsonObject>;
    pathInFile: (path: readonly PropertyKey[]) => readonly PropertyKey[];
  },
): JsonObject | null {
  const { success, data, error } = part.schema.safeParse(part.options);
  if (success) return data;
  const { options: value, schema, pathInFile } = part;
  problems.push(...explainIssues(error.issues, { yaml, value, schema, pathInFile }));
  return null;
}
