/** The composition root: the one place that knows every room. Commands and tests ask it for what they need. */
import { rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { sources, targets } from '../adapters/registry.ts';
import type { Config } from './config.ts';
import type { AdapterEnvironment } from './domain/adapter.ts';
import { resolveEnvReferences } from './domain/env-reference.ts';
import { LandfallError } from './domain/errors.ts';
import type { RunEvent } from './domain/events.ts';
import { stepKey } from './domain/job.ts';
import type { JsonObject } from './domain/json.ts';
import type { Machine } from './domain/machine.ts';
import type { MachineRecord } from './domain/machine-record.ts';
import type { Evidence, Source, Target } from './domain/ports.ts';
import type { Wave, WaveMachine } from './domain/wave.ts';
import { openEvidence } from './evidence/evidence.ts';
import { inspectPath } from './images/inspect-appliance.ts';
import { holdSteps } from './operations/hold-machine.ts';
import { makeScratchFolder } from './processes/scratch-folder.ts';
import type { RunStep } from './queue/attempt.ts';
import { type Conductor, createConductor } from './queue/conductor.ts';
import { openQueues, type Queues } from './queue/queues.ts';
import { runStep } from './stages/run-step.ts';
import { spoolSource } from './stages/spool.ts';
import type { ConnectionNotice } from './state/redis.ts';
import { openState, type State } from './state/state.ts';
import { redisUrlOf } from './view.ts';
import { loadWave } from './workflow/load-wave.ts';

/** What needs no Redis: reading waves, opening adapters, evidence. */
export type Workshop = AsyncDisposable & {
  config: Config;
  evidence: Evidence;
  loadWave(file: string): Promise<Wave>;
  /** The machines that a disk image or an appliance holds. */
  inspect(path: string, signal: AbortSignal): Promise<Machine[]>;
  /** Puts the environment's values where a machine's plan says `${env:NAME}`. Throws `preflight-refused`. */
  resolve(plan: WaveMachine): WaveMachine;
  openSource(wave: Wave): Source;
  openTarget(wave: Wave): Target;
};

/** A workshop with durable state and queues. */
export type App = Workshop & { state: State; queues: Queues; conductor: Conductor; runStep: RunStep };

export async function openWorkshop(config: Config): Promise<Workshop> {
  const scratchFolder = await makeScratchFolder('work');
  const folders = { scratchFolder, cacheFolder: config.cache };
  const evidence = openEvidence(config.evidence);
  // They go with their wave: a long-lived `up` sees many.
  const adapters = { sources: new WeakMap<Wave, Source>(), targets: new WeakMap<Wave, Target>() };
  return {
    config,
    evidence,
    loadWave: (file) => loadWave(file, { sources, targets }),
    inspect: (path, signal) => inspectPath({ path, cacheFolder: config.cache, signal }),
    resolve: resolvePlan,
    openSource: (wave) => remember(adapters.sources, wave, () => createSource(wave, folders)),
    openTarget: (wave) => remember(adapters.targets, wave, () => createTarget(wave, folders)),
    [Symbol.asyncDispose]: () => rm(scratchFolder, { recursive: true, force: true }),
  };
}

export type Listeners = {
  /** Redis went away or came back. */
  notice?: ConnectionNotice;
  /** Something that this process decided was committed. */
  onEvent?: (event: RunEvent) => void;
};

/** Opens state and queues at REDIS_URL, or at the Redis of the `up` that owns the home. Throws `redis-away`. */
export async function openApp(config: Config, listeners: Listeners = {}): Promise<App> {
  const url = await redisUrlOf(config);
  await using stack = new AsyncDisposableStack();
  const workshop = stack.use(await openWorkshop(config));
  const state = stack.use(openState(url, listeners.notice));
  const queues = stack.use(openQueues(url));
  const conductor = createConductor({ state, queues, onEvent: listeners.onEvent });
  const owned = stack.move();
  return {
    ...workshop,
    state,
    queues,
    conductor,
    runStep: createRunStep(workshop, state),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** More runs than that seldom move at once; a run that comes back has its adapters made anew. */
const MAX_KEPT_RUNS = 32;

/** Runs a stage with the adapters that the run's wave names. */
function createRunStep(workshop: Workshop, state: State): RunStep {
  // Adapters are kept per run: a wave is read from Redis anew for every attempt, so it is no key.
  const waves = new Map<string, Wave>();
  return async ({ run, record, job, context }) => {
    const wave = waves.get(run.id) ?? run.wave;
    // Entered anew, so that the first is the one that was not needed for longest.
    waves.delete(run.id);
    waves.set(run.id, wave);
    const [oldest] = waves.keys();
    if (waves.size > MAX_KEPT_RUNS && oldest !== undefined) waves.delete(oldest);
    return runStep({
      record: { ...record, plan: resolvePlan(record.plan) },
      job,
      source: sourceOf(workshop.openSource(wave), record.plan),
      target: workshop.openTarget(wave),
      evidence: workshop.evidence,
      stagingFolder: workshop.config.staging,
      waveFolder: dirname(wave.file),
      holdOtherSteps: (signal) => holdSteps(state, withoutStep(record, stepKey(job)), signal),
      context,
    });
  };
}

/** An attempt holds the lease of its own step already. */
function withoutStep(record: MachineRecord, key: string): MachineRecord {
  const { [key]: own, ...steps } = record.steps;
  return { ...record, steps };
}

function sourceOf(source: Source, plan: WaveMachine): Source {
  return plan.export === 'spool' ? spoolSource(source) : source;
}

/** Of this process: the same whatever the wave. */
type Folders = Omit<AdapterEnvironment, 'waveFolder'>;

function createSource(wave: Wave, folders: Folders): Source {
  const adapter = sources[wave.source.kind];
  if (adapter === undefined) throw unknownAdapter('source', wave.source.kind, Object.keys(sources));
  return adapter.create(resolved(wave.source.options), { waveFolder: dirname(wave.file), ...folders });
}

function createTarget(wave: Wave, folders: Folders): Target {
  const adapter = targets[wave.target.kind];
  if (adapter === undefined) throw unknownAdapter('target', wave.target.kind, Object.keys(targets));
  return adapter.create(resolved(wave.target.options), { waveFolder: dirname(wave.file), ...folders });
}

function resolved(options: JsonObject): JsonObject {
  return resolveEnvReferences(options, process.env) as JsonObject;
}

function resolvePlan(plan: WaveMachine): WaveMachine {
  return { ...plan, from: resolved(plan.from), to: resolved(plan.to) };
}

function unknownAdapter(role: string, kind: string, known: string[]): LandfallError {
  return new LandfallError({
    code: 'wave-invalid',
    message: `This version of Landfall has no ${role} ${JSON.stringify(kind)}; it has ${known.join(', ')}.`,
  });
}

function remember<K extends WeakKey, V>(map: WeakMap<K, V>, key: K, create: () => V): V {
  const known = map.get(key);
  if (known !== undefined) return known;
  const value = create();
  map.set(key, value);
  return value;
}
