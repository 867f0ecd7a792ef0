import { hash } from 'node:crypto';
import { PutSnapshotBlockCommand } from '@aws-sdk/client-ebs';
import { expect, test } from 'vitest';
import { createBlockSender } from '../../../../adapters/targets/aws/ebs-block-request.ts';
import { awsAt, BLOCK_BYTES, startPlainEbs } from './plain-ebs.ts';

test('a signer that could not be had once is asked for again, and then kept', async () => {
  await using ebs = await startPlainEbs();
  ebs.snapshots.set('snap-1', {
    id: 'snap-1',
    state: 'pending',
    volumeGib: 1,
    tags: {},
    request: {},
    blocks: new Map(),
  });
  const { ebs: client } = awsAt(ebs.endpoint);
  const { signer } = client.config;
  let asked = 0;
  // The SDK names the scheme that it signs by; who asks without one is the sender.
  client.config.signer = async (...scheme) => {
    if (scheme.length === 0) {
      asked += 1;
      if (asked === 1) throw new Error('the metadata service did not answer');
    }
    return signer(...scheme);
  };
  const send = createBlockSender(client);
  const signal = AbortSignal.timeout(20_000);
  await send(putBlock(0), signal); // The SDK makes and signs the first.
  await expect(send(putBlock(1), signal)).rejects.toThrow('the metadata service');
  for (const index of [1, 2, 3]) await send(putBlock(index), signal);
  expect([...(ebs.snapshots.get('snap-1')?.blocks.keys() ?? [])]).toEqual([0, 1, 2, 3]);
  expect(asked).toBe(2);
});

function putBlock(index: number): PutSnapshotBlockCommand {
  const bytes = Buffer.alloc(BLOCK_BYTES, index + 1);
  return new PutSnapshotBlockCommand({
    SnapshotId: 'snap-1',
    BlockIndex: index,
    BlockData: bytes,
    DataLength: BLOCK_BYTES,
    Checksum: hash('sha256', bytes, 'base64'),
    ChecksumAlgorithm: 'SHA256',
  });
}
