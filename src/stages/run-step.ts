/** Does one step of one machine: the way from a job to the stage that serves it. */
import { asLandfallError, LandfallError } from '../domain/errors.ts';
import { stepKey } from '../domain/job.ts';
import type { StepOutput } from '../domain/machine-record.ts';
import type { StepOutcome } from '../domain/ports.ts';
import { admitLanding } from './admit.ts';
import { convertDisks } from './convert.ts';
import { exportDisk } from './export.ts';
import { importMachine } from './import.ts';
import type { StepInput } from './step-input.ts';
import { uploadDisk } from './upload.ts';
import { validateLanding } from './validate.ts';

/**
 * Safe to run twice and after a death at any point. Import, validate and admit answer `wait` instead of waiting.
 * Throws LandfallErrors; after `context.signal` aborted, the signal's own reason.
 */
export async function runStep(input: StepInput): Promise<StepOutcome<StepOutput>> {
  const { signal } = input.context;
  signal.throwIfAborted();
  try {
    return await serve(input);
  } catch (error) {
    // Whatever fell over on the way out of an abort is an echo of it.
    signal.throwIfAborted();
    throw named(input, error);
  }
}

function serve(input: StepInput): Promise<StepOutcome<StepOutput>> {
  const { stage } = input.job;
  switch (stage) {
    case 'export':
      return exportDisk(input);
    case 'convert':
      return convertDisks(input);
    case 'upload':
      return uploadDisk(input);
    case 'import':
      return importMachine(input);
    case 'validate':
      return validateLanding(input);
    case 'admit':
      return admitLanding(input);
    default:
      return stage satisfies never;
  }
}

/** An unforeseen failure says at least which step of which machine it hit. */
function named({ record, job }: StepInput, error: unknown): LandfallError {
  if (error instanceof LandfallError) return error;
  const { code, message, retryable } = asLandfallError(error);
  return new LandfallError({
    code,
    message: `Step ${stepKey(job)} of ${record.machine.name} fell over: ${message}. \`landfall logs ${record.run} ${record.machine.name}\` tells more.`,
    retryable,
    cause: error,
    context: { step: stepKey(job) },
  });
}
