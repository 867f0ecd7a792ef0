/** The text of a wave file as a Wave: the wave's own schema first, then what source and target say of their options. */
import type { SourceAdapter, TargetAdapter } from '../domain/adapter.ts';
import type { JsonValue } from '../domain/json.ts';
import type { ProofPolicy, Wave, WaveMachine } from '../domain/wave.ts';
import { explainIssues } from './explain-issue.ts';
import { checkMachineOptions, chooseVendor } from './vendor-options.ts';
import { findBadReferences, findRepeatedNames } from './wave-hazards.ts';
import { waveInvalid } from './wave-problem.ts';
import type { WaveReview } from './wave-review.ts';
import { DEFAULT_LIMITS, DEFAULT_PROOF, isMapping, type WaveFile, waveSchema } from './wave-schema.ts';
import { parseYaml } from './yaml-text.ts';

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
  const review: WaveReview = { yaml, data: withLongForms(yaml.data), problems: [] };

  const wave = checkShape(review);
  const source = chooseVendor(review, { key: 'source', known: adapters.sources });
  const target = chooseVendor(review, { key: 'target', known: adapters.targets });
  const machines = checkMachineOptions(review, {
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
    source: { ...source.choice, site: null },
    target: target.choice,
    groups: {},
    window: null,
    onOverrun: 'rollback',
    isApprovalRequired: false,
    notify: [],
    limits: {
      machines: wave.limits?.machines ?? DEFAULT_LIMITS.machines,
      tries: wave.limits?.tries ?? DEFAULT_LIMITS.tries,
      ...(wave.limits?.bandwidth === undefined ? {} : { bytesPerSecond: wave.limits.bandwidth }),
    },
    machines: wave.machines.map(
      ({ name, export: mode, proof }, index): WaveMachine => ({
        name,
        from: machines[index]?.from ?? {},
        to: machines[index]?.to ?? {},
        export: mode ?? wave.defaults?.export ?? 'in-place',
        proof: mergeProof(wave.defaults?.proof, proof),
        group: null,
        after: [],
        shutdown: { graceSeconds: 300, force: false },
        onFailure: 'leave',
        hooks: [],
      }),
    ),
  };
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

function checkShape({ yaml, data: value, problems }: WaveReview): WaveFile | null {
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

type ProofInFile = NonNullable<WaveFile['machines'][number]['proof']>;

function mergeProof(defaults: ProofInFile | undefined, own: ProofInFile | undefined): ProofPolicy {
  return {
    expect: own?.expect ?? defaults?.expect ?? DEFAULT_PROOF.expect,
    refuse: own?.refuse ?? defaults?.refuse ?? DEFAULT_PROOF.refuse,
    deadlineSeconds: own?.deadline ?? defaults?.deadline ?? DEFAULT_PROOF.deadlineSeconds,
    checks: [],
  };
}
