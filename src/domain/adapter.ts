/** How an adapter presents itself to the registry: a name, the schemas of its options, a factory. */
import type { z } from 'zod';
import type { JsonObject } from './json.ts';
import type { Source, Target } from './ports.ts';

export type AdapterEnvironment = {
  /** Relative paths in a wave file resolve against this folder. */
  waveFolder: string;
  /** Scratch space of this process; its owner removes it. Sockets live in the OS temp folder instead (108 bytes). */
  scratchFolder: string;
  /** Survives processes; losing it costs time only. */
  cacheFolder: string;
};

export type SourceAdapter = {
  kind: string;
  /** `source: {KIND: …}` in a wave file. Strict: unknown keys are errors. */
  options: z.ZodType<JsonObject>;
  /** `machines[].from`. */
  machineOptions: z.ZodType<JsonObject>;
  create(options: JsonObject, environment: AdapterEnvironment): Source;
};

export type TargetAdapter = {
  kind: string;
  /** `target: {KIND: …}` in a wave file. */
  options: z.ZodType<JsonObject>;
  /** `machines[].to` and `defaults.to`; every key optional, since defaults are merged in before it is checked. */
  machineOptions: z.ZodType<JsonObject>;
  create(options: JsonObject, environment: AdapterEnvironment): Target;
};
