import { expect, test } from 'vitest';
import { acquireLease } from '../../src/state/lease.ts';
import { createNoticeMarks } from '../../src/state/notice-marks.ts';
import { openState } from '../../src/state/state.ts';
import { startTestRedis } from '../fakes/redis.ts';

const OF = { run: '-', machine: '-', step: 'notify' };

test('a sender that lost its turn marks nothing: its successor goes by what was marked before', async () => {
  await using server = await startTestRedis();
  await using state = openState(server.url);
  const marks = createNoticeMarks(state.redis);
  const first = await acquireLease(state.redis, OF);
  if (first.kind === 'taken') throw new Error('taken');
  await using lease = first.lease;
  const mark = { cursor: '5-0', told: ['approval-wanted'], awaySince: null };
  await marks.write({ run: 'r1', channel: 0, lease }, mark);
  await state.redis.del(lease.key);
  const second = await acquireLease(state.redis, OF);
  if (second.kind === 'taken') throw new Error('taken');
  await using successor = second.lease;
  void successor;
  const stale = marks.write({ run: 'r1', channel: 0, lease }, { ...mark, cursor: '9-0' });
  await expect(stale).rejects.toMatchObject({ code: 'lease-lost' });
  expect(await marks.read('r1', 0)).toEqual(mark);
  expect(await marks.read('r1', 1)).toEqual({ cursor: '0', told: [], awaySince: null });
});
