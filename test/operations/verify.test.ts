import { expect, it } from 'vitest';
import { createDigestTree } from '../../src/blocks/digest-tree.ts';
import { encodeDigestTree } from '../../src/blocks/digest-tree-file.ts';
import { LandfallError } from '../../src/domain/errors.ts';
import type { Target } from '../../src/domain/ports.ts';
import { type DiskVerdict, verifyMachines } from '../../src/operations/verify.ts';
import { proofPath } from '../../src/stages/proof.ts';
import { createFakeEvidence } from '../fakes/evidence.ts';
import { createMachine, createRecord } from '../fakes/machine.ts';
import { createFakeTarget, LANDING } from '../fakes/target.ts';

const DISK_BYTES = 2 ** 20;

async function verifyAt(target: Target): Promise<DiskVerdict[]> {
  const record = { ...createRecord({ machine: createMachine({ diskBytes: DISK_BYTES }) }), landing: LANDING };
  const evidence = createFakeEvidence();
  const tree = await encodeDigestTree(createDigestTree({ diskBytes: DISK_BYTES }));
  await evidence.put(proofPath(record, 'disk-0.digests'), tree);
  const { signal } = new AbortController();
  return Array.fromAsync(
    verifyMachines({ records: [record], target, evidence, onProgress: () => {}, signal }),
  );
}

function refusing(error: LandfallError): Target {
  return { ...createFakeTarget(), openLanded: () => Promise.reject(error) };
}

it('speaks of the shell that it runs in where the target refuses its credentials', async () => {
  const remedy = 'Check the credentials of this worker. A worker keeps its own: `landfall down`.';
  const denied = new LandfallError({
    code: 'target-denied',
    message: `Listing the blocks of snap-1 failed: no credentials. ${remedy}`,
    context: { remedy },
  });
  const [verdict] = await verifyAt(refusing(denied));
  expect(verdict).toMatchObject({ state: 'failed', error: { code: 'target-denied' } });
  const message = verdict?.state === 'failed' ? verdict.error.message : '';
  expect(message).toMatch(/^Listing the blocks of snap-1 failed: no credentials\. .*the shell/);
  expect(message).not.toMatch(/this worker|landfall down/);
});

it('tells other failures as they are', async () => {
  const missing = new LandfallError({ code: 'target-missing', message: 'snap-1 is gone. Check it.' });
  expect(await verifyAt(refusing(missing))).toEqual([
    expect.objectContaining({ error: expect.objectContaining({ message: missing.message }) }),
  ]);
});
