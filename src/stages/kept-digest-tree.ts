/** A disk's digest tree in the evidence store, beside the proof: what `landfall verify` compares the landed disk with. */
import type { DigestTree } from '../blocks/digest-tree.ts';
import { decodeDigestTree, encodeDigestTree } from '../blocks/digest-tree-file.ts';
import type { MachineRecord } from '../domain/machine-record.ts';
import type { Evidence } from '../domain/ports.ts';
import { proofPath } from './proof.ts';
import type { StepInput } from './step-input.ts';

/** Gives the tree's root. */
export async function keepDigestTree(
  { record, evidence, context }: StepInput,
  { disk, tree }: { disk: string; tree: DigestTree },
): Promise<string> {
  const root = Buffer.from(await tree.root()).toString('hex');
  await evidence.put(treePath(record, disk), await encodeDigestTree(tree), context.signal);
  return root;
}

/** null where none was kept. Throws where what was kept is no tree any more. */
export async function readKeptTree(
  evidence: Evidence,
  { record, disk }: { record: MachineRecord; disk: string },
  signal: AbortSignal,
): Promise<DigestTree | null> {
  const bytes = await evidence.get(treePath(record, disk), signal);
  return bytes === null ? null : await decodeDigestTree(bytes);
}

function treePath(record: MachineRecord, disk: string): string {
  return proofPath(record, `disk-${disk}.digests`);
}
