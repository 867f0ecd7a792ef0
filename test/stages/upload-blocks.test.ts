import { hash, randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import type { DiskReader } from '../../src/blocks/disk-reader.ts';
import { BLOCK_BYTES } from '../../src/blocks/stream-encoder.ts';
import type { BlockSink } from '../../src/domain/ports.ts';
import { createCopyProgress } from '../../src/stages/copy-progress.ts';
import { openDigestLedger } from '../../src/stages/digest-ledger.ts';
import { uploadBlocks } from '../../src/stages/upload-blocks.ts';
import { createStepContext } from '../fakes/step-context.ts';

const BLOCKS = Array.from({ length: 8 }, () => randomBytes(BLOCK_BYTES));
const diskBytes = BLOCKS.length * BLOCK_BYTES;

test.each([
  ['sends again what the target lost, and says so', [0, 1, 3], [2, 4, 5, 6, 7]],
  ['sends again what the target holds and nobody knows', [0, 1, 2, 3, 6], [4, 5, 6, 7]],
  ['believes its own ledger where the target tells nothing', null, [4, 5, 6, 7]],
])('an upload of which four blocks of eight are known %s', async (_, held, expected) => {
  const context = createStepContext();
  const { checkpoints, signal } = context;
  const digests = await openDigestLedger({ checkpoints, key: 'upload/0', identity: {}, diskBytes });
  for (const index of [0, 1, 2, 3]) digests.set(index, hash('sha256', BLOCKS[index] as Buffer, 'buffer'));
  const sent: number[] = [];
  let finished: Parameters<BlockSink['finish']>[0] | null = null;
  const sink: BlockSink = {
    kind: 'blocks',
    id: 'upload',
    blockBytes: BLOCK_BYTES,
    offeredAtOnce: 2,
    finished: null,
    ...(held === null ? {} : { isHeld: (index: number) => held.includes(index) }),
    writeBlock: async ({ index }) => void sent.push(index),
    finish: async (written) => {
      finished = written;
      return { disk: '0', kind: 'fake', container: null, bytes: diskBytes, ref: {}, digests: [] };
    },
  };
  const progress = createCopyProgress({ context, diskBytes, dataBytes: diskBytes, note: 'uploading' });
  const checkSource = async (): Promise<void> => {};
  await uploadBlocks({
    disk: '0',
    sink,
    reader: readerOf(BLOCKS),
    digests,
    laterPass: null,
    progress,
    context,
    signal,
    checkSource,
  });
  expect(sent.toSorted((a, b) => a - b)).toEqual(expected);
  expect(finished).toEqual({ blockCount: 8, linearSha256: (await digests.tree.linear()).linearSha256 });
  // What is told never goes beyond what is held, nor back.
  const told = context.reports.map(({ doneBytes }) => doneBytes);
  expect(told[0]).toBe((8 - expected.length) * BLOCK_BYTES);
  expect(told).toEqual(told.toSorted((a, b) => a - b));
  expect(told.at(-1)).toBe(diskBytes);
  expect(
    context.logs.some(({ level, message }) => level === 'warn' && /no longer holds 1 of/.test(message)),
  ).toBe(expected.length === 5);
});

function readerOf(blocks: readonly Buffer[]): DiskReader {
  return {
    bytes: diskBytes,
    blockCount: blocks.length,
    dataBlocks: async function* () {
      yield* blocks.keys();
    },
    countDataBytes: async () => diskBytes,
    readBlock: async (index, into) => void (blocks[index] as Buffer).copy(into),
    [Symbol.asyncDispose]: async () => {},
  };
}
