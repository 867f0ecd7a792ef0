import { hash, randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { createDigestTree, ZERO_BLOCK_SHA256 } from '../../src/blocks/digest-tree.ts';
import { BLOCK_BYTES } from '../../src/blocks/stream-encoder.ts';
import { mergeTrees, openLaterPass, passOf } from '../../src/stages/later-pass.ts';
import { createJob } from '../fakes/machine.ts';
import { createAttempt } from './attempt.ts';

const diskBytes = 300 * BLOCK_BYTES;

test('the tree of the whole disk has the last digest of each block, and none of one that became zeros', async () => {
  const [old, changed] = [hash('sha256', randomBytes(8), 'buffer'), hash('sha256', randomBytes(8), 'buffer')];
  const before = createDigestTree({ diskBytes });
  for (const index of [0, 1, 2, 299]) before.set(index, old);
  const over = createDigestTree({ diskBytes });
  over.set(1, changed);
  over.set(2, ZERO_BLOCK_SHA256);
  over.set(150, changed);
  const merged = await mergeTrees(before, over);
  expect([...merged.heldBlocks()]).toEqual([0, 1, 150, 299]);
  expect([merged.get(0), merged.get(1)]).toEqual([old, changed]);
  expect(before.get(2)).toEqual(old);
});

test('a pass is the last where the record has no later one, and needs what the one before left', async () => {
  const attempt = createAttempt({ job: { ...createJob('upload', '0'), pass: 1 } });
  expect(passOf({ ...attempt, job: createJob('upload', '0') }, '0')).toEqual({
    number: 0,
    isLast: true,
    previous: null,
  });
  expect(() => passOf(attempt, '0')).toThrow(/has no artifact of the pass before/);
  await expect(openLaterPass(attempt, { disk: '0', opened: { bytes: diskBytes } })).rejects.toThrow(
    /has no digest tree of the pass before/,
  );
});
