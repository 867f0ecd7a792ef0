/** Who works, and what operators say of pools. */
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { changePool, describePause, namePool, readPools } from '../../operations/pool-control.ts';
import { liveWorkers } from '../../state/heartbeats.ts';
import { actorOf } from '../actor.ts';
import { outcomeSchema } from '../api/action.ts';
import { type PoolAction, poolActionSchema, type Workers, workersSchema } from '../api/workers.ts';
import type { Desk } from '../desk.ts';
import { REFUSALS } from '../problem.ts';

export const workerRoutes: FastifyPluginAsyncZod<{ desk: Desk }> = async (server, { desk }) => {
  const { redis, state, app } = desk;

  server.get(
    '/api/workers',
    {
      schema: {
        summary: 'Processes that work, what they do, and the pools',
        response: { 200: workersSchema, ...REFUSALS },
      },
    },
    () => redis.whileThere(() => readWorkers(desk)),
  );

  server.post(
    '/api/pools',
    {
      config: { access: 'operator' },
      schema: {
        summary: 'Pause a pool, let it go on, or say how many steps it does at once',
        body: poolActionSchema,
        response: { 200: outcomeSchema, ...REFUSALS },
      },
    },
    ({ body, user }) =>
      redis.whileThere(async () => {
        const { pool, site, change, reason } = body;
        const of = { pool, site };
        const deps = { state, queues: app.queues, by: actorOf(user).name };
        const isChanged = await changePool({ of, change, reason }, deps);
        const changed = isChanged ? [namePool(of)] : [];
        return { message: isChanged ? describeChange(body) : 'It was so already.', changed };
      }),
  );
};

async function readWorkers({ state, app }: Desk): Promise<Workers> {
  const [now, workers, pools] = await Promise.all([
    state.clock.now(),
    liveWorkers(state.redis),
    readPools({ state, queues: app.queues }),
  ]);
  return {
    now,
    workers: workers.map(({ pools: served, jobs, ...worker }) => ({
      ...worker,
      pools: served.map(({ stage, concurrency }) => ({ pool: stage, concurrency })),
      jobs: [...jobs],
    })),
    pools: pools.map(({ paused: _paused, ...pool }) => pool),
  };
}

function describeChange({ pool, site, change }: PoolAction): string {
  const name = namePool({ pool, site });
  switch (change.kind) {
    case 'pause':
      return `Pool ${name} is paused: ${describePause(pool)}. Steps that run come to their end.`;
    case 'resume':
      return `Pool ${name} goes on.`;
    case 'concurrency':
      return change.value === null
        ? `Each process does as many steps of pool ${name} at once as it was started with.`
        : `Each process does up to ${change.value} steps of pool ${name} at once.`;
    default:
      return change satisfies never;
  }
}
