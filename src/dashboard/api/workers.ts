/** Who works: processes, their pools, what they do now. */
import { z } from 'zod';
import { POOLS } from '../../domain/job.ts';

export const poolNameSchema = z.enum(POOLS);

export const workersSchema = z.object({
  now: z.number(),
  workers: z.array(
    z.object({
      id: z.string(),
      host: z.string(),
      pid: z.number(),
      site: z.string().nullable(),
      schedules: z.boolean(),
      beatAt: z.number(),
      startedAt: z.number().nullable(),
      /** Of its host over a minute, per core; null where it did not say. */
      load: z.number().nullable(),
      memoryBytes: z.number().nullable(),
      pools: z.array(z.object({ pool: poolNameSchema, concurrency: z.number() })),
      jobs: z.array(
        z.object({
          run: z.string(),
          machine: z.string(),
          step: z.string(),
          try: z.number(),
          since: z.number(),
        }),
      ),
    }),
  ),
  /** One for each queue. */
  pools: z.array(
    z.object({
      pool: poolNameSchema,
      site: z.string().nullable(),
      isPaused: z.boolean(),
      /** Steps at once of each process that serves it, where an operator has said so; null: as it was started. */
      concurrency: z.number().nullable(),
      /** Of all live processes together. */
      slots: z.number(),
      active: z.number(),
      waiting: z.number(),
      delayed: z.number(),
    }),
  ),
});
export type Workers = z.infer<typeof workersSchema>;

export const poolActionSchema = z.object({
  pool: poolNameSchema,
  site: z.string().nullable(),
  reason: z.string().trim().min(1).max(500),
  change: z.union([
    z.object({ kind: z.enum(['pause', 'resume']) }),
    z.object({ kind: z.literal('concurrency'), value: z.int().min(1).max(256).nullable() }),
  ]),
});
export type PoolAction = z.infer<typeof poolActionSchema>;
