/** Does one step of one machine: the way from a job to the stage that serves it. */
import type { StepOutput } from '../domain/machine-record.ts';
import type { StepOutcome } from '../domain/ports.ts';
import { admitLanding } from './admit.ts';
import { convertDisks } from './convert.ts';
import { exportDisk } from './export.ts';
import { importMachine } from './import.ts';
import { rollBack } from './rollback.ts';
import { shutDownSource } from './shutdown.ts';
import type { StepInput } from './step-input.ts';
import { uploadDisk } from './upload.ts';
import { validateLanding } from './validate.ts';

/**
 * Safe to run twice and after a death at any point. Shutdown, import, validate, admit and rollback answer `wait` instead of waiting. After
 * `context.signal` aborted it rejects with the signal's own reason.
 */
export async function runStep(input: StepInput): Promise<StepOutcome<StepOutput>> {
  const { signal } = input.context;
  signal.throwIfAborted();
  try {
    return await serve(input);
  } catch (error) {
    // Whatever fell over on the way out of an abort is an echo of it.
    signal.throwIfAborted();
    throw error;
  }
}

function serve(input: StepInput): Promise<StepOutcome<StepOutput>> {
  const { stage } = input.job;
  switch (stage) {
    case 'shutdown':
      return shutDownSource(input);
    case 'rollback':
      return rollBack(input);
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
