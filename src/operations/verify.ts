/** Reads what landed back from the target and compares it with the digests that were taken as the bytes passed. */
import { compareLanded, type LandedComparison } from '../blocks/compare-landed.ts';
import { asLandfallError, LandfallError, type SavedError, saveError } from '../domain/errors.ts';
import type { MachineRecord } from '../domain/machine-record.ts';
import type { Evidence, Target } from '../domain/ports.ts';
import { readKeptTree } from '../stages/kept-digest-tree.ts';

export type DiskVerdict = { machine: string; disk: string } & (
  | ({ state: 'same' | 'differs' } & LandedComparison)
  /** There is nothing to compare, and why. */
  | { state: 'not-comparable'; reason: string }
  | { state: 'failed'; error: SavedError }
);

export type Verification = {
  records: readonly MachineRecord[];
  target: Target;
  evidence: Evidence;
  /** Called as blocks are compared. */
  onProgress(progress: { machine: string; disk: string; comparedBlocks: number; totalBlocks: number }): void;
  signal: AbortSignal;
};

/** One verdict for each disk, in order; what cannot be read does not keep the others from being compared. */
export async function* verifyMachines(verification: Verification): AsyncGenerator<DiskVerdict> {
  for (const record of verification.records) {
    const machine = record.machine.name;
    for (const { id: disk } of record.machine.disks) {
      try {
        yield { machine, disk, ...(await verifyDisk(verification, record, disk)) };
      } catch (error) {
        verification.signal.throwIfAborted();
        yield { machine, disk, state: 'failed', error: saveError(asLandfallError(error)) };
      }
    }
  }
}

async function verifyDisk(
  { target, evidence, onProgress, signal }: Verification,
  record: MachineRecord,
  disk: string,
) {
  const { landing, machine } = record;
  if (landing === null) return notComparable(`${machine.name} has no landing (it is ${record.status})`);
  const tree = await readKeptTree(evidence, { record, disk }, signal);
  if (tree === null) throw noTree(record, disk);
  await using landed = await target.openLanded({ landing, machine, disk }, signal);
  if (landed === null) return notComparable('the target changed the disk when it imported it');
  const totalBlocks = tree.countHeld();
  let comparedBlocks = 0;
  const onCompared = (): void => {
    comparedBlocks += 1;
    onProgress({ machine: machine.name, disk, comparedBlocks, totalBlocks });
  };
  const found = await compareLanded({ landed, tree, onCompared, signal });
  const state = found.differingBlocks === 0 ? ('same' as const) : ('differs' as const);
  return { state, ...found };
}

function notComparable(reason: string) {
  return { state: 'not-comparable' as const, reason };
}

function noTree({ run, machine }: MachineRecord, disk: string): LandfallError {
  return new LandfallError({
    code: 'evidence-unavailable',
    message: `The evidence of ${machine.name} in run ${run} has no digests of disk ${disk}. Is LANDFALL_EVIDENCE the same here as for the workers?`,
    context: { machine: machine.name, disk },
  });
}
