/** Reads one landed disk back from the target and compares it with the digests that were taken as its bytes passed. */
import { compareLanded, type LandedComparison } from '../blocks/compare-landed.ts';
import { LandfallError } from '../domain/errors.ts';
import type { MachineRecord } from '../domain/machine-record.ts';
import type { Evidence, Target } from '../domain/ports.ts';
import { readKeptTree } from './kept-digest-tree.ts';

export type VerifiedDisk =
  | ({ state: 'same' | 'differs' } & LandedComparison)
  /** There is nothing to compare, and why. */
  | { state: 'not-comparable'; reason: string };

/** Throws `evidence-unavailable` where there are no digests, and what the target throws. */
export async function verifyDisk(verification: {
  record: MachineRecord;
  disk: string;
  target: Target;
  evidence: Evidence;
  onProgress(comparedBytes: number): void;
  signal: AbortSignal;
}): Promise<VerifiedDisk> {
  const { record, disk, target, evidence, onProgress, signal } = verification;
  const { landing, machine } = record;
  if (landing === null) return notComparable(`${machine.name} has no landing (it is ${record.status})`);
  const tree = await readKeptTree(evidence, { record, disk }, signal);
  if (tree === null) throw noTree(record, disk);
  await using landed = await target.openLanded({ landing, machine, disk }, signal);
  if (landed === null) return notComparable('the target changed the disk by design when it imported it');
  const found = await compareLanded({ landed, tree, onProgress, signal });
  return { state: found.differingBlocks === 0 ? 'same' : 'differs', ...found };
}

function notComparable(reason: string): VerifiedDisk {
  return { state: 'not-comparable', reason };
}

function noTree({ run, machine }: MachineRecord, disk: string): LandfallError {
  return new LandfallError({
    code: 'evidence-unavailable',
    message: `The evidence of ${machine.name} in run ${run} has no digests of disk ${disk}. Is LANDFALL_EVIDENCE the same here as for the workers?`,
    context: { machine: machine.name, disk },
  });
}
