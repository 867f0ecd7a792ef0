/** All that is known of one machine of a run. */
import { z } from 'zod';
import { machineLineSchema, savedErrorSchema, saySchema, stageSchema } from './run.ts';

/** One try or more of one step. */
export const stepSchema = z.object({
  key: z.string(),
  stage: stageSchema,
  disk: z.string().nullable(),
  pass: z.number(),
  state: z.enum(['pending', 'active', 'done', 'failed']),
  try: z.number(),
  failures: z.number(),
  notBefore: z.number().nullable(),
  startedAt: z.number().nullable(),
  endedAt: z.number().nullable(),
  error: savedErrorSchema.nullable(),
});

export const diskSchema = z.object({
  id: z.string(),
  /** Virtual size. */
  bytes: z.number(),
  /** What holds data, once that is known. */
  dataBytes: z.number().nullable(),
  doneBytes: z.number(),
  artifact: z.object({ kind: z.string(), bytes: z.number(), ref: z.string() }).nullable(),
  digests: z.array(z.object({ algorithm: z.string(), value: z.string(), isConfirmed: z.boolean() })),
});

/** A side effect on the outside world, newest generation first. */
export const ledgerEntrySchema = z.object({
  thing: z.string(),
  generation: z.number(),
  state: z.string(),
  /** What it made: kind and id. */
  made: z.array(z.object({ kind: z.string(), id: z.string().nullable() })),
  /** Does it stand at the target although its machine did not land? */
  isLeftover: z.boolean(),
  /** US dollars a month at list price; null: not known. */
  costPerMonth: z.number().nullable(),
  at: z.number().nullable(),
});

export const machineDetailSchema = z.object({
  now: z.number(),
  run: z.object({ id: z.string(), wave: z.string(), status: z.string(), timezone: z.string().nullable() }),
  line: machineLineSchema,
  hardware: z.object({
    identity: z.string(),
    firmware: z.string(),
    cpus: z.number(),
    memoryBytes: z.number(),
    os: z.string().nullable(),
    host: z.string().nullable(),
  }),
  hold: saySchema.nullable(),
  steps: z.array(stepSchema),
  disks: z.array(diskSchema),
  landing: z.object({ kind: z.string(), id: z.string(), address: z.string().nullable() }).nullable(),
  proof: z
    .object({
      provenAt: z.number(),
      consoleLines: z.array(z.string()),
      checks: z.array(z.object({ name: z.string(), state: z.string(), detail: z.string() })),
      hasScreenshot: z.boolean(),
    })
    .nullable(),
  /** Is there console text: live while it boots, kept once it was proven or failed? */
  hasConsole: z.boolean(),
  hasScreenshot: z.boolean(),
  ledger: z.array(ledgerEntrySchema),
  /** Commands that lead on from where it stands, as an operator would type them. */
  remedies: z.array(z.string()),
});
export type MachineDetail = z.infer<typeof machineDetailSchema>;

/**
 * A disk in equal cells, first to last: in each, which part (0 to 1) is copied, and which is zeros that are not sent.
 * What is neither is to do. null where the map is not known yet.
 */
export const diskMapSchema = z.object({
  disk: z.string(),
  bytes: z.number(),
  cellBytes: z.number(),
  cells: z.array(z.object({ copied: z.number(), zero: z.number() })).nullable(),
});
export type DiskMap = z.infer<typeof diskMapSchema>;

/** Console text from `offset` characters on; at most 256 KiB of it. Plain text, never markup. */
export const consoleSchema = z.object({
  text: z.string(),
  offset: z.number(),
  /** Ask from here for what comes next. */
  nextOffset: z.number(),
  totalChars: z.number(),
  isLive: z.boolean(),
});
export type ConsoleText = z.infer<typeof consoleSchema>;

/** Events as `landfall logs --json` prints them, oldest first. */
export const eventSchema = z.looseObject({
  id: z.string(),
  at: z.number(),
  type: z.enum(['run', 'machine', 'step', 'log', 'remark', 'operator']),
  run: z.string(),
  machine: z.string().nullable().optional(),
  /** The event as a sentence, without its time. */
  text: z.string(),
});
export type ShownEvent = z.infer<typeof eventSchema>;
export const eventListSchema = z.object({ events: z.array(eventSchema), hasMore: z.boolean() });
