/** What a wave file may say, apart from what its source and target make of their own options. */
import { z } from 'zod';
import { BYTE_RATE_PATTERN, BYTE_RATE_RULE, parseByteRate } from '../domain/byte-rate.ts';
import type { JsonObject } from '../domain/json.ts';
import { EXPORT_MODES } from '../domain/wave.ts';

export const DEFAULT_PROOF = { expect: ['login:'], refuse: [] as string[], deadlineSeconds: 600 };
export const DEFAULT_LIMITS = { machines: 10, tries: 5 };

const MAX_NAME_LENGTH = 63;
const MAX_PATTERN_LENGTH = 1_000;
const MAX_DEADLINE_SECONDS = 7 * 24 * 3_600;
const SECONDS = { s: 1, m: 60, h: 3_600 } as const;

/** Names end up in tags, file names, object keys and on command lines: what is allowed is what all of those take. */
const nameSchema = z
  .string()
  .regex(
    new RegExp(`^[A-Za-z0-9][A-Za-z0-9_-]{0,${MAX_NAME_LENGTH - 1}}$`),
    `must be 1 to ${MAX_NAME_LENGTH} letters, digits, - or _ that begin with a letter or digit, because it becomes part of tags, file names and object keys`,
  );

/** Also gives the seconds: `10m` is 600. */
export const durationSchema = z
  .union(
    [
      z
        .string()
        .regex(/^\d+(\.\d+)?[smh]$/)
        .transform((text) => Number.parseFloat(text) * SECONDS[text.at(-1) as keyof typeof SECONDS]),
      z.number(),
    ],
    { error: 'must be a duration such as 90s, 10m or 2h, or a number of seconds' },
  )
  .refine((seconds) => seconds >= 1 && seconds <= MAX_DEADLINE_SECONDS, {
    error: 'must be between one second and seven days',
  });

/** Gives bytes per second. */
const bandwidthSchema = z
  .string({ error: BYTE_RATE_RULE })
  .regex(BYTE_RATE_PATTERN, BYTE_RATE_RULE)
  .transform((text, context) => {
    const bytesPerSecond = parseByteRate(text);
    if (bytesPerSecond !== null) return bytesPerSecond;
    context.issues.push({ code: 'custom', message: BYTE_RATE_RULE, input: text });
    return z.NEVER;
  });

const patternSchema = z
  .string()
  .min(1)
  .max(MAX_PATTERN_LENGTH)
  .superRefine((pattern, context) => {
    try {
      new RegExp(pattern);
    } catch (error) {
      const reason = (error instanceof Error ? error.message : String(error)).split(': ').at(-1);
      context.addIssue({ code: 'custom', message: `is not a regular expression: ${reason}` });
    }
  })
  .meta({ format: 'regex' });

const proofSchema = z.strictObject({
  expect: z
    .array(patternSchema)
    .optional()
    .describe('Regular expressions that must each match a line of the console. Default: login:'),
  refuse: z
    .array(patternSchema)
    .optional()
    .describe('Regular expressions: a console line that matches one fails the machine at once.'),
  deadline: durationSchema
    .optional()
    .describe('How long a landing may take to prove itself: 90s, 10m, 2h, or seconds. Default: 10m'),
});

const vendorSchema = z.record(z.string(), z.custom<JsonObject>(isMapping, { error: 'must be a map' }));
const anyOptionsSchema = z.custom<JsonObject>(isMapping, { error: 'must be a map' });

const fromSchema = anyOptionsSchema.describe(
  "What to take, in the source's own words. A plain text is short for { path: … }.",
);
const toSchema = anyOptionsSchema
  .optional()
  .describe("How the machine lands, in the target's own words. Each key replaces the one of defaults.to.");

const exportSchema = z.enum(EXPORT_MODES).optional();

const machineSchema = z.strictObject({
  name: nameSchema.describe('Name of the machine in this wave and at the target. Unique in the wave.'),
  from: fromSchema,
  to: toSchema,
  export: exportSchema.describe(
    'in-place: disks are read where they are. spool: they are copied into staging first. Default: that of defaults, else in-place.',
  ),
  proof: proofSchema
    .optional()
    .describe('How the landing is judged. Each key replaces the one of defaults.proof.'),
});

export const waveSchema = z.strictObject({
  name: nameSchema.describe('Name of the wave: `landfall run` goes on with the run of this name.'),
  source: vendorSchema.describe('Where the machines are: one kind of source and its options.'),
  target: vendorSchema.describe('Where the machines land: one kind of target and its options.'),
  defaults: z
    .strictObject({
      to: toSchema.describe('How machines land, where a machine does not say otherwise.'),
      export: exportSchema.describe('How disks are read, where a machine does not say otherwise.'),
      proof: proofSchema
        .optional()
        .describe('How landings are judged, where a machine does not say otherwise.'),
    })
    .optional()
    .describe('What holds for all machines of the wave.'),
  limits: z
    .strictObject({
      machines: z.int().min(1).max(1_000).optional().describe('Machines on the move at once. Default: 10'),
      tries: z.int().min(1).max(100).optional().describe('Tries of one step before it fails. Default: 5'),
      bandwidth: bandwidthSchema
        .optional()
        .describe(
          'What all workers together may send: 50 MB/s, 30 MiB/s, 400 Mbit/s. `landfall limit` changes it while the run goes. Default: as fast as it goes',
        ),
    })
    .optional()
    .describe('How much happens at once and how often it is tried.'),
  machines: z.array(machineSchema).min(1).describe('The machines, in the order in which they start.'),
});

export type WaveFile = z.output<typeof waveSchema>;

export function isMapping(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
