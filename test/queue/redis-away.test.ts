import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openBoardQueues } from '../../src/queue/board-queues.ts';
import { openQueues } from '../../src/queue/queues.ts';

const NOBODY = `unix:${join(tmpdir(), 'landfall-test-no-redis.sock')}`;
const pool = { pool: 'upload', site: null } as const;

test('queues of a Redis that was never there are let go of without a word', async () => {
  const queues = openQueues(NOBODY);
  const asked = queues.depth(pool);
  await expect(queues[Symbol.asyncDispose]()).resolves.toBeUndefined();
  await expect(asked).rejects.toThrow();
  const board = openBoardQueues(NOBODY);
  const counted = Promise.allSettled(board.list([pool]).map((queue) => queue.getJobCounts()));
  await expect(board[Symbol.asyncDispose]()).resolves.toBeUndefined();
  await counted;
});
