/** What removals of all kinds share: each looks first, and leaves alone what does not carry the run's tag. */
import { LandfallError } from '../../../src/domain/errors.ts';
import { isOfRun, type Tags } from './names.ts';

/** The run whose things may be removed. */
export type Removal = { run: string; signal: AbortSignal };

/** Throws `target-refused` for what does not carry the run's tag. */
export function checkRun(
  tags: Readonly<Tags> | undefined,
  { run, thing }: { run: string; thing: string },
): void {
  if (isOfRun(tags, run)) return;
  throw new LandfallError({
    code: 'target-refused',
    message: `Left ${thing} alone: it does not carry the tag of run ${run}, so Landfall did not make it in this run, or its tags were changed. Remove it by hand if it is yours.`,
  });
}
