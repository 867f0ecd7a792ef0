/** What a wave file may say of cutovers: when, in which order, what is done beside, who is told. */
import { z } from 'zod';
import { nameSchema } from '../domain/name.ts';
import { FAILURE_POLICIES, HOOK_MOMENTS, NOTICE_TOPICS, OVERRUN_POLICIES } from '../domain/wave.ts';
import { durationSchema } from './duration-schema.ts';

export const WEEKDAYS = [
  'monday',
  'tuesday',
  'wednesday',
  'thursday',
  'friday',
  'saturday',
  'sunday',
] as const;

const SHARE_RULE = "must be a number of machines, or a share such as '10%'";
const PORT_RULE = 'must be a port, or HOST:PORT';

const localTime = z
  .string()
  .regex(/^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?$/, 'must be a local date and time such as 2026-11-28T22:00');
const localDate = z.string().regex(/^\d{4}-\d\d-\d\d$/, 'must be a date such as 2026-12-26');
export const timeOfDaySchema = z
  .string()
  .regex(/^([01]\d|2[0-3]):[0-5]\d$/, "must be a time such as '22:00', in quotes");
const weekday = z.enum(WEEKDAYS);

/** Which of its forms it has is checked where it is read (wave-window.ts). */
export const windowSchema = z.strictObject({
  opens: localTime.optional().describe('When the window opens: 2026-11-28T22:00, in its time zone.'),
  closes: localTime.optional().describe('When it closes.'),
  every: z
    .union([weekday, z.array(weekday).min(1)], { error: `must be one or some of ${WEEKDAYS.join(', ')}` })
    .optional()
    .describe('Instead of opens and closes: the days of the week on which it opens.'),
  at: timeOfDaySchema
    .optional()
    .describe("With `every`: the time of day at which it opens, such as '22:00'."),
  for: durationSchema.optional().describe('With `every`: how long it stays open, such as 6h.'),
  except: z.array(localDate).optional().describe('With `every`: dates on which it does not open.'),
  timezone: z.string().describe('Time zone of these times, such as Europe/Berlin.'),
  rollback: durationSchema
    .optional()
    .describe(
      'How long a rollback takes: so long before the end is the last moment for one, and for a machine to begin (but with `onOverrun: finish`). Default: 10m',
    ),
});

export const shutdownSchema = z.strictObject({
  grace: durationSchema.optional().describe('How long its guest may take to shut down. Default: 5m'),
  force: z
    .boolean()
    .optional()
    .describe('Cut it off when that time is over: a power failure to its guest. Default: false'),
});

/** Words of a command are seen by everybody on the host, so no secret may come into them. */
const commandSchema = z
  .array(
    z
      .string()
      .min(1)
      .refine((word) => !word.includes('${env:'), {
        error: 'may hold no reference to the environment: a program finds its own in it, as $NAME',
      }),
    { error: 'must be a list: the program and its arguments' },
  )
  .min(1);

export const checkSchema = z
  .strictObject({
    tcp: z
      .union(
        [
          z.int().min(1).max(65_535),
          z.string().regex(/^[^\s:]+:\d{1,5}$|^\[[\da-fA-F:]+\]:\d{1,5}$/, PORT_RULE),
        ],
        {
          error: PORT_RULE,
        },
      )
      .optional()
      .describe('A port of the landing, or HOST:PORT, that must take a connection.'),
    http: z
      .string()
      .regex(/^https?:\/\/\S+$/, 'must be a URL that begins with http:// or https://')
      .optional()
      .describe('A URL that must answer. {address} in it is the landing itself.'),
    status: z.int().min(100).max(599).optional().describe('With `http`: the status. Default: 200 to 399'),
    command: commandSchema.optional().describe('A program with its arguments that must exit with 0.'),
  })
  .refine(
    ({ tcp, http, command }) => [tcp, http, command].filter((each) => each !== undefined).length === 1,
    {
      error: 'give exactly one of `tcp`, `http` and `command`',
    },
  )
  .refine(({ http, status }) => status === undefined || http !== undefined, {
    error: '`status` goes with `http`',
  });

export const hookSchema = z
  .strictObject({
    at: z.enum(HOOK_MOMENTS).describe(`When: ${HOOK_MOMENTS.join(', ')}.`),
    command: commandSchema
      .optional()
      .describe(
        'A program with its arguments. It finds LANDFALL_RUN, LANDFALL_MACHINE and more in its environment.',
      ),
    http: z
      .string()
      .regex(/^(https?:\/\/\S+|\$\{env:\w+\}\S*)$/, 'must be a URL that begins with http:// or https://')
      .optional()
      .describe('Instead: a URL that is called.'),
    method: z
      .enum(['GET', 'POST', 'PUT', 'PATCH', 'DELETE'])
      .optional()
      .describe('With `http`. Default: POST'),
    headers: z.record(z.string(), z.string()).optional().describe('With `http`.'),
    body: z.string().optional().describe('With `http`. Default: JSON that says run, machine and moment.'),
    timeout: durationSchema.optional().describe('How long it may take. Default: 5m'),
    onFailure: z
      .enum(['fail', 'warn'])
      .optional()
      .describe('fail: its machine fails where it fails. warn: it goes on. Default: fail'),
  })
  .refine(({ command, http }) => (command === undefined) !== (http === undefined), {
    error: 'give either `command` or `http`',
  })
  .refine(
    ({ http, method, headers, body }) =>
      http !== undefined || [method, headers, body].every((each) => each === undefined),
    { error: '`method`, `headers` and `body` go with `http`' },
  );

export const notifySchema = z
  .strictObject({
    webhook: z
      .string()
      .regex(/^(https?:\/\/\S+|\$\{env:\w+\}\S*)$/, 'must be a URL that begins with http:// or https://')
      .optional()
      .describe('A URL to which JSON is posted.'),
    mail: z
      .array(z.string().regex(/^\S+@\S+$/, 'must be a mail address'))
      .min(1)
      .optional()
      .describe('Instead: who gets a mail.'),
    smtp: z
      .string()
      .regex(/^(smtps?:\/\/\S+|\$\{env:\w+\}\S*)$/, 'must be a URL that begins with smtp:// or smtps://')
      .optional()
      .describe(
        'With `mail`: the server, smtp://HOST:PORT; with a password in it, a reference to the environment.',
      ),
    from: z
      .string()
      .regex(/^\S+@\S+$/, 'must be a mail address')
      .optional()
      .describe('With `mail`: who it is from.'),
    on: z.array(z.enum(NOTICE_TOPICS)).min(1).optional().describe('Of what. Default: of all.'),
  })
  .refine(({ webhook, mail }) => (webhook === undefined) !== (mail === undefined), {
    error: 'give either `webhook` or `mail`',
  })
  .refine(({ mail, smtp, from }) => mail === undefined || (smtp !== undefined && from !== undefined), {
    error: '`mail` needs `smtp` and `from`',
  });

export const groupSchema = z.strictObject({
  after: z
    .array(nameSchema)
    .optional()
    .describe('Machines and groups that must have landed before one of this group starts.'),
  stopAfter: z
    .union([z.int().min(0), z.string().regex(/^(100|\d{1,2})%$/, SHARE_RULE)], {
      error: SHARE_RULE,
    })
    .optional()
    .describe('Hold the run once more machines of the group than that did not land. Default: never'),
});

export const onFailureSchema = z.enum(FAILURE_POLICIES);
export const onOverrunSchema = z.enum(OVERRUN_POLICIES);
