/** Reads what landed back from the target, disk by disk. */
import { asLandfallError, LandfallError, type SavedError, saveError } from '../domain/errors.ts';
import { findingOf } from '../domain/finding.ts';
import type { MachineRecord } from '../domain/machine-record.ts';
import type { Evidence, Target } from '../domain/ports.ts';
import { type VerifiedDisk, verifyDisk } from '../stages/verify-disk.ts';

export type DiskVerdict = { machine: string; disk: string } & (
  | VerifiedDisk
  | { state: 'failed'; error: SavedError }
);

export type Verification = {
  records: readonly MachineRecord[];
  target: Target;
  evidence: Evidence;
  /** Called as blocks are compared. */
  onProgress(progress: { machine: string; disk: string; comparedBytes: number }): void;
  signal: AbortSignal;
};

/** One verdict for each disk, in order; what cannot be read does not keep the others from being compared. */
export async function* verifyMachines(verification: Verification): AsyncGenerator<DiskVerdict> {
  const { records, onProgress, signal } = verification;
  for (const record of records) {
    const machine = record.machine.name;
    for (const { id: disk } of record.machine.disks) {
      try {
        const verified = await verifyDisk({
          ...verification,
          record,
          disk,
          onProgress: (comparedBytes) => onProgress({ machine, disk, comparedBytes }),
        });
        yield { machine, disk, ...verified };
      } catch (error) {
        signal.throwIfAborted();
        yield { machine, disk, state: 'failed', error: saveError(toldHere(asLandfallError(error), machine)) };
      }
    }
  }
}

/** Targets speak to workers, who have credentials of their own. Nobody but the operator's shell is asked here. */
function toldHere(error: LandfallError, machine: string): LandfallError {
  if (error.code !== 'target-denied') return error;
  const { code, retryable, cause } = error;
  const { message: said } = findingOf(machine, error);
  const remedy =
    '`landfall verify` reads with the credentials of the shell that it is called in: see that they are set and valid there, and that they may do this.';
  return new LandfallError({
    code,
    retryable,
    cause,
    message: `${said} ${remedy}`,
    context: { ...error.context, remedy },
  });
}
