/** A run as lists and its own page show it. Times in ms since the epoch on Redis's clock; sizes in bytes. */
import { z } from 'zod';
import { type Estimate, VERDICTS } from '../../domain/estimate.ts';
import { STEP_STAGES } from '../../domain/job.ts';
import { MACHINE_STATUSES } from '../../domain/machine-record.ts';
import { RUN_STATUSES } from '../../domain/run-record.ts';
import { FAILURE_POLICIES } from '../../domain/wave.ts';

export const machineStatusSchema = z.enum(MACHINE_STATUSES);
export const stageSchema = z.enum(STEP_STAGES);

export const saySchema = z.object({ by: z.string(), at: z.number(), reason: z.string().nullable() });
export const savedErrorSchema = z.object({ code: z.string(), message: z.string(), retryable: z.boolean() });

/** Will the run make its window? */
export type { Estimate };
export const estimateSchema = z.object({
  /** When the last machine lands as things go; null: nothing is known yet, or nothing is left. */
  endsAt: z.number().nullable(),
  verdict: z.enum(VERDICTS),
  /** Bytes that are still to be moved, and the rate of the run as a whole that was assumed for them. */
  bytesLeft: z.number(),
  bytesPerSecond: z.number(),
  /** What it rests on, as sentences. */
  because: z.array(z.string()),
}) satisfies z.ZodType<Estimate>;

export const runSummarySchema = z.object({
  id: z.string(),
  wave: z.string(),
  file: z.string(),
  status: z.enum(RUN_STATUSES),
  source: z.string(),
  target: z.string(),
  createdAt: z.number(),
  endedAt: z.number().nullable(),
  archivedAt: z.number().nullable(),
  /** Who started it. */
  plannedBy: z.string().nullable(),
  window: z
    .object({
      opensAt: z.number(),
      closesAt: z.number(),
      /** The last moment from which a rollback fits. */
      rollbackBy: z.number(),
      timezone: z.string(),
    })
    .nullable(),
  counts: z.record(machineStatusSchema, z.number()),
  /** Machines that failed, are held because they failed, or go back: what an operator looks at first. */
  troubled: z.number(),
  /** Why no machine starts now, as a sentence with its way out; null: nothing stands in the way. */
  standsStill: z.string().nullable(),
  /** Pools that it needs and that nobody serves, or that are paused: as sentences, with the way out. */
  unserved: z.array(z.string()),
  hold: saySchema.nullable(),
  /** null: none is wanted. */
  approval: z.object({ given: saySchema.nullable(), byAnother: z.boolean() }).nullable(),
  doneBytes: z.number(),
  totalBytes: z.number(),
  bytesPerSecond: z.number(),
  estimate: estimateSchema,
});
export type RunSummary = z.infer<typeof runSummarySchema>;

export const runListSchema = z.object({ now: z.number(), runs: z.array(runSummarySchema) });
export type RunList = z.infer<typeof runListSchema>;

/** One stage of one machine: its disks together. */
export const stageCellSchema = z.object({
  stage: stageSchema,
  state: z.enum(['pending', 'active', 'waiting', 'done', 'failed']),
  try: z.number(),
  startedAt: z.number().nullable(),
  endedAt: z.number().nullable(),
});
export type StageCell = z.infer<typeof stageCellSchema>;

export const machineLineSchema = z.object({
  name: z.string(),
  /** Its place in the wave. */
  position: z.number(),
  group: z.string().nullable(),
  /** Machines and groups that it comes after, as the wave says. */
  after: z.array(z.string()),
  status: machineStatusSchema,
  stages: z.array(stageCellSchema),
  doneBytes: z.number(),
  totalBytes: z.number(),
  zeroBytes: z.number(),
  bytesPerSecond: z.number(),
  etaMs: z.number().nullable(),
  /** One line: what it waits for, or why it failed. */
  note: z.string(),
  error: savedErrorSchema.nullable(),
  isTroubled: z.boolean(),
  landing: z.string().nullable(),
  committedAt: z.number().nullable(),
  startedAt: z.number().nullable(),
  endedAt: z.number().nullable(),
});
export type MachineLine = z.infer<typeof machineLineSchema>;

export const runDetailSchema = z.object({
  now: z.number(),
  run: runSummarySchema,
  groups: z.array(
    z.object({
      name: z.string(),
      machines: z.number(),
      landed: z.number(),
      troubled: z.number(),
      /** When the run is held, as a sentence; null: never. */
      gate: z.string().nullable(),
    }),
  ),
  /** In the order of the wave. */
  machines: z.array(machineLineSchema),
  onFailure: z.enum(FAILURE_POLICIES).nullable(),
  /** The events up to this id are in what is said here: where to go on reading. */
  eventId: z.string(),
});
export type RunDetail = z.infer<typeof runDetailSchema>;

/** What all workers together moved for a run, oldest first, one sample for each 10 s in which something moved. */
export const throughputSchema = z.object({
  everyMs: z.number(),
  samples: z.array(
    z.object({
      at: z.number(),
      bytesPerSecond: z.number(),
      /** null: there was none. */
      limitBytesPerSecond: z.number().nullable(),
    }),
  ),
});
export type Throughput = z.infer<typeof throughputSchema>;
