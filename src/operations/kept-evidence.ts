/** What is kept of a machine, for whoever only looks: evidence that cannot be read from here is as if there were none. */
import type { Proof } from '../domain/landing.ts';
import type { MachineRecord } from '../domain/machine-record.ts';
import type { Evidence } from '../domain/ports.ts';
import { proofPath } from '../stages/proof.ts';

export async function readKeptProof(evidence: Evidence, { proof }: MachineRecord): Promise<Proof | null> {
  if (proof === null) return null;
  const bytes = await evidence.get(proof).catch(() => null);
  return bytes === null ? null : (JSON.parse(new TextDecoder().decode(bytes)) as Proof);
}

export async function listKept(
  evidence: Evidence,
  record: MachineRecord,
): Promise<{ hasConsole: boolean; hasScreenshot: boolean }> {
  const folder = proofPath(record, 'proof.json').replace(/[^/]*$/, '');
  const kept = new Set(await evidence.list(folder).catch(() => []));
  return {
    hasConsole: kept.has(proofPath(record, 'console.txt')),
    hasScreenshot: kept.has(proofPath(record, 'screenshot.png')),
  };
}
