/**
 * What the server sends to a page that stays open (server-sent events, `GET /api/live?run=ID`; without `run`: of all runs,
 * `runs` only). The event's name is the key here, its data is JSON of the schema. `id` of an `event` is the stream's: a
 * page that comes back says it in `Last-Event-ID`, or in the address as `lastEventId`, and misses none. The first `run` has
 * the id from which on events are told. What is silent for 15 s is told its health again.
 */
import { z } from 'zod';
import { eventSchema } from './machine.ts';
import { machineLineSchema, runListSchema, runSummarySchema } from './run.ts';

export const liveSchemas = {
  /** All runs, whenever one of them changed; at most once a second. */
  runs: runListSchema,
  /** The run, whenever it changed; at most once a second. */
  run: z.object({ now: z.number(), run: runSummarySchema }),
  /** Machines that changed since what was sent before; at most once a second. First of all: all of them. */
  machines: z.object({ now: z.number(), machines: z.array(machineLineSchema) }),
  event: eventSchema,
  /** Is what is shown true? `away`: Redis does not answer; what was shown last is old. */
  health: z.object({ redis: z.enum(['ok', 'away']), message: z.string().nullable() }),
} as const;
export type LiveName = keyof typeof liveSchemas;
export type Live<Name extends LiveName> = z.infer<(typeof liveSchemas)[Name]>;
