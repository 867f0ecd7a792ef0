/** What operators do. Every action is previewed, and says why it is done. */
import { z } from 'zod';

export const ACTIONS = [
  'approve',
  'hold',
  'release',
  'cutover',
  'retry',
  'cancel',
  'rollback',
  'commit',
  'cleanup',
] as const;
export const actionNameSchema = z.enum(ACTIONS);
export type ActionName = z.infer<typeof actionNameSchema>;

/** The run as a whole, every machine of it, those that failed, or these. */
export const selectionSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('run') }),
  z.object({ kind: z.literal('all') }),
  z.object({ kind: z.literal('failing') }),
  z.object({ kind: z.literal('machines'), names: z.array(z.string()).min(1).max(10_000) }),
]);
export type Selection = z.infer<typeof selectionSchema>;

export const actionSchema = z.object({
  action: actionNameSchema,
  on: selectionSchema,
  /** Of rollback: also machines that landed, whose data since then is deleted. */
  discardsLandingData: z.boolean().default(false),
  /** Of cutover: when the window closes (ms since the epoch); null: as planned. */
  closesAt: z.number().nullable().default(null),
});
export type Action = z.infer<typeof actionSchema>;

/** An action that is meant: with the reason that goes into the audit trail. */
export const deedSchema = actionSchema.extend({ reason: z.string().trim().min(1).max(500) });
export type Deed = z.infer<typeof deedSchema>;

export const previewSchema = z.object({
  /** What happens, as sentences; the first is the heaviest. */
  consequences: z.array(z.string()),
  /** The machines that it would change; empty where it is about the run itself. */
  machines: z.array(z.string()),
  /** Why it cannot be done; null: it can. */
  refusal: z.string().nullable(),
  /** Can what it does be taken back? */
  isReversible: z.boolean(),
});
export type Preview = z.infer<typeof previewSchema>;

export const outcomeSchema = z.object({
  /** What was done, as a sentence. */
  message: z.string(),
  changed: z.array(z.string()),
});
export type Outcome = z.infer<typeof outcomeSchema>;
