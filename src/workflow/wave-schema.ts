/** What a wave file may say, apart from what its source and target make of their own options. */
import { z } from 'zod';
import { BYTE_RATE_PATTERN, BYTE_RATE_RULE, parseByteRate } from '../domain/byte-rate.ts';
import type { JsonObject } from '../domain/json.ts';
import { nameSchema } from '../domain/name.ts';
import { EXPORT_MODES, NOTICE_TOPICS } from '../domain/wave.ts';
import {
  checkSchema,
  groupSchema,
  hookSchema,
  notifySchema,
  onFailureSchema,
  onOverrunSchema,
  shutdownSchema,
  timeOfDaySchema,
  windowSchema,
} from './cutover-schema.ts';
import { durationSchema } from './duration-schema.ts';

export const DEFAULT_PROOF = { expect: ['login:'], refuse: [] as string[], deadlineSeconds: 600 };
export const DEFAULT_LIMITS = { machines: 10, tries: 5 };
export const DEFAULT_SHUTDOWN = { graceSeconds: 300, force: false };
export const DEFAULT_ROLLBACK_SECONDS = 600;
export const DEFAULT_HOOK_SECONDS = 300;
export const DEFAULT_NOTICES = NOTICE_TOPICS;

const MAX_PATTERN_LENGTH = 1_000;

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

const spanSchema = z.strictObject({
  from: timeOfDaySchema.describe("From this time of day on, such as '08:00'."),
  to: timeOfDaySchema.describe('Until this one; over midnight where it is the earlier.'),
  rate: bandwidthSchema.describe('What may be sent in these hours.'),
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
  checks: z
    .array(checkSchema)
    .optional()
    .describe('What must answer once it is admitted, tried from the worker. Default: nothing'),
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

/** What machines and `defaults` may say alike. */
const cutoverKeys = {
  group: nameSchema.optional().describe('The group of `groups` that it belongs to.'),
  shutdown: shutdownSchema.optional().describe('How it is turned off at its source.'),
  onFailure: onFailureSchema
    .optional()
    .describe(
      'When it fails. rollback: its source runs again. hold: it stays as it is until an operator decides. leave: it has failed, the others go on. Default: leave',
    ),
  hooks: z.array(hookSchema).optional().describe('What is done at moments of its cutover. Default: nothing'),
};

const machineSchema = z
  .strictObject({
    name: nameSchema
      .optional()
      .describe(
        'Name of the machine in this wave and at the target. Unique in the wave. Left out: all machines that `from` selects, each by its name at the source.',
      ),
    from: fromSchema,
    except: z
      .array(z.string().min(1).max(MAX_PATTERN_LENGTH))
      .min(1)
      .optional()
      .describe(
        'Machines that `from` selects and that are left out, by their names at the source; `*` and `?` stand for what varies. Only without `name`.',
      ),
    to: toSchema,
    export: exportSchema.describe(
      'in-place: disks are read where they are. spool: they are copied into staging first. Default: that of defaults, else in-place.',
    ),
    proof: proofSchema
      .optional()
      .describe('How the landing is judged. Each key replaces the one of defaults.proof.'),
    after: z
      .array(nameSchema)
      .optional()
      .describe('Machines and groups that must have landed before it starts.'),
    ...cutoverKeys,
  })
  .refine(({ name, except }) => name === undefined || except === undefined, {
    path: ['except'],
    error: 'leaves machines out of a selection, and an entry with a `name` is one machine',
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
      ...cutoverKeys,
    })
    .optional()
    .describe('What holds for all machines of the wave.'),
  limits: z
    .strictObject({
      machines: z.int().min(1).max(1_000).optional().describe('Machines on the move at once. Default: 10'),
      perHost: z
        .int()
        .min(1)
        .max(1_000)
        .optional()
        .describe('The same per host at the source. Default: no limit of its own'),
      tries: z.int().min(1).max(100).optional().describe('Tries of one step before it fails. Default: 5'),
      bandwidth: z
        .union([bandwidthSchema, z.array(spanSchema).min(1)], {
          error: `${BYTE_RATE_RULE}, or a list of { from, to, rate }`,
        })
        .optional()
        .describe(
          'What all workers together may send: 50 MB/s, 30 MiB/s, 400 Mbit/s, or a list of such rates by the time of day. `landfall limit` changes it while the run goes. Default: as fast as it goes',
        ),
      timezone: z
        .string()
        .optional()
        .describe('Time zone of the hours of `bandwidth`. Default: that of the window, else UTC'),
    })
    .optional()
    .describe('How much happens at once and how often it is tried.'),
  window: windowSchema.optional().describe('When machines may be turned off and moved. Default: at once'),
  approval: z
    .enum(['required', 'by-another'])
    .optional()
    .describe(
      'required: nothing happens before `landfall approve`; by-another: and not by whoever planned the run.',
    ),
  onOverrun: onOverrunSchema
    .optional()
    .describe(
      'What is on the move and not proven when the window closes: rollback or finish. Default: rollback',
    ),
  groups: z
    .record(nameSchema, groupSchema)
    .optional()
    .describe('Machines that belong together, by name of the group.'),
  notify: z.array(notifySchema).optional().describe('Who is told of what. Default: nobody'),
  machines: z.array(machineSchema).min(1).describe('The machines, in the order in which they start.'),
});

export type WaveFile = z.output<typeof waveSchema>;

export function isMapping(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
