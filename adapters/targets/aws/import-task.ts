/** What both kinds of import tasks have in common: how they end, how they are told, how often they are looked at. */
import { LandfallError } from '../../../src/domain/errors.ts';
import type { Container } from '../../../src/domain/image.ts';
import type { LedgerEntry, StepContext } from '../../../src/domain/ports.ts';
import { saidBy } from './errors.ts';
import { explainImportFailure } from './import-messages.ts';

export type TaskStatus = {
  status: string | undefined;
  message: string | undefined;
  /** Per cent, as AWS writes it. */
  progress: string | undefined;
};

export type TaskState = 'active' | 'completed' | 'failed';

export const TASK_FORMATS: Record<Container, 'VMDK' | 'VHD' | 'RAW'> = {
  'vmdk-stream-optimized': 'VMDK',
  'vhd-fixed': 'VHD',
  raw: 'RAW',
};

/** Other tools import in this account too: its limit can be reached before ours. */
export const LIMIT_NOTE = 'waits: the account has as many import tasks as AWS allows';
export const LIMIT_WAIT_MS = 30_000;

const FIRST_POLL_MS = 1_000;
const MAX_POLL_MS = 15_000;
/** A task just made may not be visible at once: AWS's reads lag behind its writes by seconds. */
const VISIBLE_AFTER_MS = 60_000;

/**
 * Failed tasks end as `deleting`, then `deleted`; `error` is in the API but was not seen. The reason is complete in
 * `deleting` already, and the slot that the task holds at AWS is free with `deleted`.
 */
export function taskState({ status }: TaskStatus): TaskState {
  switch (status) {
    case 'completed':
      return 'completed';
    case 'deleted':
    case 'error':
      return 'failed';
    default:
      return 'active';
  }
}

/** "57% converting". */
export function taskNote({ status = 'active', message, progress }: TaskStatus): string {
  const what = message === undefined || message === '' ? status : message;
  return progress === undefined ? what : `${progress}% ${what}`;
}

/** A tenth of the time that was waited so far, from 1 s to 15 s: short imports end promptly, long ones cost few requests. */
export async function pollDelayMs(entry: LedgerEntry, { clock }: StepContext): Promise<number> {
  const ageMs = (await clock.now()) - entry.at;
  return Math.round(Math.min(MAX_POLL_MS, Math.max(FIRST_POLL_MS, ageMs / 10)));
}

export async function mayNotBeVisibleYet(entry: LedgerEntry, { clock }: StepContext): Promise<boolean> {
  return (await clock.now()) - entry.at < VISIBLE_AFTER_MS;
}

/** Settles the task as failed, so that a retry makes a new one, and says why in words that help. */
export async function failTask(
  context: StepContext,
  failed: { entry: LedgerEntry; what: string; taskId: string; message: string | undefined },
): Promise<LandfallError> {
  const { entry, what, taskId } = failed;
  const message = failed.message ?? 'no reason given';
  await context.ledger.settle(entry, 'failed', { message });
  const { explanation, remedy, retryable } = explainImportFailure(message);
  return new LandfallError({
    code: 'import-failed',
    retryable,
    message: `AWS could not import ${what} (task ${taskId}): ${explanation}. AWS said: "${message}" ${remedy}`,
    context: { taskId, awsMessage: message },
  });
}

export function isTaskLimit(error: unknown): boolean {
  return error instanceof LandfallError && error.code === 'target-limit';
}

/** A request that AWS's importer refused at once, for example for its role's sake. */
export function explainRefusal(error: unknown, what: string): unknown {
  if (!(error instanceof LandfallError) || error.code !== 'target-refused') return error;
  const { explanation, remedy } = explainImportFailure(saidBy(error.cause));
  return new LandfallError({
    code: 'target-refused',
    message: `AWS refuses to import ${what}: ${explanation}. ${error.message} ${remedy}`,
    cause: error,
    context: error.context,
  });
}
