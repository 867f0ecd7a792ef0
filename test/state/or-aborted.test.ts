import { expect, test } from 'vitest';
import { openCheckpoints } from '../../src/state/checkpoints.ts';
import { acquireLease } from '../../src/state/lease.ts';
import { openLedger } from '../../src/state/ledger.ts';
import { openState } from '../../src/state/state.ts';
import { startTestRedis } from '../fakes/redis.ts';

test('an attempt that is told to stop does not wait for a Redis that is away', async () => {
  await using server = await startTestRedis();
  await using state = openState(server.url);
  const reply = await acquireLease(state.redis, { run: 'r', machine: 'm', step: 'upload/0' });
  if (reply.kind === 'taken') throw new Error('the lease is taken');
  await using lease = reply.lease;
  const stop = new AbortController();
  const of = { redis: state.redis, clock: state.clock, run: 'r', machine: 'm', lease, signal: stop.signal };
  const checkpoints = openCheckpoints(of);
  const ledger = openLedger(of);
  const entry = await ledger.intend('image');
  await state.redis.call('CLIENT', 'PAUSE', '1500', 'ALL');
  const calls = [
    checkpoints.get('head'),
    checkpoints.set('head', 1),
    checkpoints.getBytes(['page']),
    checkpoints.setBytes('page', Buffer.alloc(1)),
    checkpoints.delete('head'),
    ledger.intend('image'),
    ledger.settle(entry, 'done'),
    ledger.entries(),
  ];
  const ends = Promise.allSettled(calls);
  const abortedAt = performance.now();
  stop.abort(new Error('told to stop'));
  for (const end of await ends)
    expect(end).toMatchObject({ status: 'rejected', reason: { message: 'told to stop' } });
  expect(performance.now() - abortedAt).toBeLessThan(500);
  await state.redis.ping();
});
