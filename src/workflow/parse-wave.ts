/** The text of a wave file as a Wave: the wave's own schema first, then what source and target say of their options. */
import type { z } from 'zod';
import type { SourceAdapter, TargetAdapter } from '../domain/adapter.ts';
import { findBadEnvReference } from '../domain/env-reference.ts';
import type { JsonObject, JsonValue } from '../domain/json.ts';
import type { AdapterChoice, ProofPolicy, Wave, WaveMachine } from '../domain/wave.ts';
import { closestWord } from './closest-word.ts';
import { allowEnvReferences } from './env-options.ts';
import { explainIssues } from './explain-issue.ts';
import { formatPath, type WaveProblem, waveInvalid } from './wave-problem.ts';
import { DEFAULT_LIMITS, DEFAULT_PROOF, isMapping, type WaveFile, waveSchema } from './wave-schema.ts';
import { parseYaml, type YamlText } from './yaml-text.ts';

export type WaveAdapters = {
  sources: Readonly<Record<string, SourceAdapter>>;
  targets: Readonly<Record<string, TargetAdapter>>;
};

/** `file` names the file in messages, `path` is its absolute path. Throws `wave-invalid` with all problems. */
export function parseWave(input: { file: string; path: string; text: string; adapters: WaveAdapters }): Wave {
  const { file, path, text, adapters } = input;
  const parsed = parseYaml(text);
  if (parsed.kind === 'bad') throw waveInvalid(file, parsed.problems);
  const { yaml } = parsed;
  const review: Review = { yaml, problems: [] };

  const wave = checkShape(review);
  const source = chooseVendor(review, { key: 'source', known: adapters.sources });
  const target = chooseVendor(review, { key: 'target', known: adapters.targets });
  const machines = checkMachines(review, {
    source: source?.adapter ?? null,
    target: target?.adapter ?? null,
  });
  findRepeatedNames(review);
  findBadReferences(review);

  if (wave === null || source === null || target === null || review.problems.length > 0) {
    throw waveInvalid(file, review.problems);
  }
  return {
    name: wave.name,
    file: path,
    source: source.choice,
    target: target.choice,
    limits: { ...DEFAULT_LIMITS, ...dropUndefined(wave.limits ?? {}) },
    machines: wave.machines.map(
      ({ name, proof }, index): WaveMachine => ({
        name,
        from: machines[index]?.from ?? {},
        to: machines[index]?.to ?? {},
        proof: mergeProof(wave.defaults?.proof, proof),
      }),
    ),
  };
}

/** What is read, and everything found wrong so far. */
type Review = { yaml: YamlText; problems: WaveProblem[] };

function checkShape({ yaml, problems }: Review): WaveFile | null {
  const value = withLongForms(yaml.data);
  if (!isMapping(value)) {
    const remedy = 'Begin with `name:`, `source:`, `target:` and `machines:`.';
    problems.push({ ...yaml.positionOf([]), where: null, what: 'the file holds no wave', remedy });
    return null;
  }
  const { success, data, error } = waveSchema.safeParse(value);
  if (success) return data;
  problems.push(
    ...explainIssues(error.issues, { yaml, value, schema: waveSchema, pathInFile: (path) => path }),
  );
  return null;
}

/** `from: shop-db.ova` is short for `from: { path: shop-db.ova }`. */
function withLongForms(data: JsonValue): JsonValue {
  if (!isMapping(data) || !Array.isArray(data.machines)) return data;
  const machines = data.machines.map((machine): JsonValue => {
    if (!isMapping(machine) || typeof machine.from !== 'string') return machine;
    return { ...machine, from: { path: machine.from } };
  });
  return { ...data, machines };
}

type Vendor = { kind: string; options: z.ZodType<JsonObject> };

/** `source: { files: {…} }`: exactly one vendor, and its options as its schema gives them. */
function chooseVendor<A extends Vendor>(
  review: Review,
  { key, known }: { key: 'source' | 'target'; known: Readonly<Record<string, A>> },
): { adapter: A; choice: AdapterChoice } | null {
  const { yaml, problems } = review;
  const given = isMapping(yaml.data) ? yaml.data[key] : undefined;
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
    schema: adapter.options,
    pathInFile: (path) => [key, kind, ...path],
  });
  return { adapter, choice: { kind, options: checked ?? {} } };
}

/** Each machine's `from` and `to`, the defaults merged in. */
function checkMachines(
  review: Review,
  { source, target }: { source: SourceAdapter | null; target: TargetAdapter | null },
): { from: JsonObject | null; to: JsonObject | null }[] {
  const data = withLongForms(review.yaml.data);
  if (!isMapping(data) || !Array.isArray(data.machines)) return [];
  const defaults = isMapping(data.defaults) && isMapping(data.defaults.to) ? data.defaults.to : {};
  if (target !== null) {
    const pathInFile = (path: readonly PropertyKey[]) => ['defaults', 'to', ...path];
    checkOptions(review, { options: defaults, schema: target.machineOptions, pathInFile });
  }
  return data.machines.map((machine, index) => {
    if (!isMapping(machine)) return { from: null, to: null };
    const own = isMapping(machine.to) ? machine.to : {};
    const { from } = machine;
    return {
      from:
        source === null || !isMapping(from)
          ? null
          : checkOptions(review, {
              options: from,
              schema: source.machineOptions,
              pathInFile: (path) => ['machines', index, 'from', ...path],
            }),
      to:
        target === null
          ? null
          : checkOptions(review, {
              options: { ...defaults, ...own },
              schema: target.machineOptions,
              pathInFile: (path) => pathOfMerged(path, { index, own, defaults }),
            }),
    };
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
  { yaml, problems }: Review,
  part: {
    options: JsonObject;
    schema: z.ZodType<JsonObject>;
    pathInFile: (path: readonly PropertyKey[]) => readonly PropertyKey[];
  },
): JsonObject | null {
  const schema = allowEnvReferences(part.schema);
  const { success, data, error } = schema.safeParse(part.options);
  if (success) return data;
  const { options: value, pathInFile } = part;
  problems.push(...explainIssues(error.issues, { yaml, value, schema, pathInFile }));
  return null;
}

/** Names that differ only in case collide too: they become file names in the evidence. */
function findRepeatedNames({ yaml, problems }: Review): void {
  if (!isMapping(yaml.data) || !Array.isArray(yaml.data.machines)) return;
  const first = new Map<string, number>();
  for (const [index, machine] of yaml.data.machines.entries()) {
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

function findBadReferences({ yaml, problems }: Review): void {
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
  if (!isMapping(yaml.data)) return;
  const { source, target, defaults, machines } = yaml.data;
  const options = { source, target, defaults: isMapping(defaults) ? { to: defaults.to } : null };
  for (const [key, value] of Object.entries(options))
    if (value !== undefined) visit(value as JsonValue, [key]);
  if (!Array.isArray(machines)) return;
  for (const [index, machine] of machines.entries()) {
    if (!isMapping(machine)) continue;
    for (const key of ['from', 'to']) visit(machine[key] ?? null, ['machines', index, key]);
  }
}

type ProofInFile = NonNullable<WaveFile['machines'][number]['proof']>;

function mergeProof(defaults: ProofInFile | undefined, own: ProofInFile | undefined): ProofPolicy {
  return {
    expect: own?.expect ?? defaults?.expect ?? DEFAULT_PROOF.expect,
    refuse: own?.refuse ?? defaults?.refuse ?? DEFAULT_PROOF.refuse,
    deadlineSeconds: own?.deadline ?? defaults?.deadline ?? DEFAULT_PROOF.deadlineSeconds,
  };
}

function dropUndefined<T extends object>(value: T): { [K in keyof T]?: NonNullable<T[K]> } {
  const entries = Object.entries(value).filter(([, item]) => item !== undefined);
  return Object.fromEntries(entries) as { [K in keyof T]?: NonNullable<T[K]> };
}
