/** The text of a wave file as a Wave: the wave's own schema first, then what source and target say of their options. */
import { createHash } from 'node:crypto';
import type { SourceAdapter, TargetAdapter } from '../domain/adapter.ts';
import type { JsonValue } from '../domain/json.ts';
import type { Wave } from '../domain/wave.ts';
import { explainIssues } from './explain-issue.ts';
import { readGate, readMachines, readNotice } from './read-machines.ts';
import { takeSite, withSite } from './source-site.ts';
import { checkMachineOptions, chooseVendor } from './vendor-options.ts';
import { readBandwidth } from './wave-bandwidth.ts';
import { findBadOrder, findBadReferences, findRepeatedNames } from './wave-hazards.ts';
import { waveInvalid } from './wave-problem.ts';
import type { WaveReview } from './wave-review.ts';
import { DEFAULT_LIMITS, isMapping, type WaveFile, waveSchema } from './wave-schema.ts';
import { readWindow } from './wave-window.ts';
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
  const source = chooseVendor(review, { key: 'source', known: withSites(adapters.sources) });
  const target = chooseVendor(review, { key: 'target', known: adapters.targets });
  const options = checkMachineOptions(review, {
    source: source?.adapter ?? null,
    target: target?.adapter ?? null,
  });
  const bandwidth = wave === null ? {} : readBandwidth(review, wave);
  const window = wave?.window === undefined ? null : readWindow(review, wave.window, wave.onOverrun);
  findRepeatedNames(review);
  findBadReferences(review);
  const machines = wave === null ? [] : readMachines(wave, options);
  if (wave !== null) findBadOrder(review, wave, machines);

  if (wave === null || source === null || target === null || review.problems.length > 0) {
    throw waveInvalid(file, review.problems);
  }
  return {
    name: wave.name,
    file: path,
    digest: createHash('sha256').update(JSON.stringify(yaml.data)).digest('hex'),
    source: { kind: source.choice.kind, ...takeSite(source.choice.options) },
    target: target.choice,
    limits: {
      machines: wave.limits?.machines ?? DEFAULT_LIMITS.machines,
      tries: wave.limits?.tries ?? DEFAULT_LIMITS.tries,
      ...(wave.limits?.perHost === undefined ? {} : { machinesPerHost: wave.limits.perHost }),
      ...bandwidth,
    },
    window,
    onOverrun: wave.onOverrun ?? 'rollback',
    isApprovalRequired: wave.approval !== undefined,
    isApprovalByAnother: wave.approval === 'by-another',
    groups: mapValues(wave.groups ?? {}, ({ stopAfter }) => ({ stopAfter: readGate(stopAfter) })),
    notify: (wave.notify ?? []).map(readNotice),
    machines,
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

function withSites(sources: WaveAdapters['sources']): WaveAdapters['sources'] {
  return mapValues(sources, (adapter) => ({ ...adapter, options: withSite(adapter.options) }));
}

function mapValues<A, B>(record: Readonly<Record<string, A>>, change: (value: A) => B): Record<string, B> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, change(value)]));
}
