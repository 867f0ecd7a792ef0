/** Tidying up after a step that has reached its goal. */
import { LandfallError } from './errors.ts';
import type { StepContext } from './ports.ts';

/** A machine that runs has not failed because something stays behind: it is logged, and still in the ledger. */
export async function tidyUp(context: StepContext, remove: () => Promise<void>): Promise<void> {
  try {
    await remove();
  } catch (error) {
    context.signal.throwIfAborted();
    // Only what the target said: a lost lease must end the step.
    if (!(error instanceof LandfallError) || !error.code.startsWith('target-')) throw error;
    context.log(
      'warn',
      `${error.message} ${context.machine} is not affected; this stays behind and may be removed by hand.`,
    );
  }
}
