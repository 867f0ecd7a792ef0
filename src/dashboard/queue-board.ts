/**
 * bull-board at /queues: what BullMQ runs, for eyes. What is true stands in the records, so nobody changes anything here:
 * routes that would are not there at all, whatever the page shows.
 */
import { createBullBoard } from '@bull-board/api';
import { BullMQAdapter } from '@bull-board/api/bullMQAdapter';
import { FastifyAdapter } from '@bull-board/fastify';
import type { FastifyInstance } from 'fastify';
import type { PoolRef } from '../domain/job.ts';
import { readPools } from '../operations/pool-control.ts';
import type { BoardQueues } from '../queue/board-queues.ts';
import type { Queues } from '../queue/queues.ts';
import type { State } from '../state/state.ts';
import { answered } from './access/sessions.ts';

export const QUEUES_PATH = '/queues';

/** Sites come and go with waves and workers. */
const REFRESH_MS = 15_000;

export async function registerQueueBoard(
  fastify: FastifyInstance,
  { state, queues, boardQueues }: { state: State; queues: Queues; boardQueues: BoardQueues },
): Promise<void> {
  const serverAdapter = new LookingAdapter();
  serverAdapter.setBasePath(QUEUES_PATH);
  const board = createBullBoard({
    queues: boardAdapters(boardQueues, []),
    // The adapter brings a copy of the API of its own, whose classes are others to TypeScript.
    serverAdapter: serverAdapter as unknown as ServerAdapter,
    options: {
      uiConfig: {
        boardTitle: 'Landfall queues',
        hideDocsLink: true,
        // Of Redis itself nobody here needs to know more, and asking costs a list of all its clients each time.
        hideRedisDetails: true,
        showWorkers: false,
        miscLinks: [{ text: 'Back to Landfall', url: '/' }],
        pollingInterval: { showSetting: true },
      },
    },
  });
  let refreshedAt = Number.NEGATIVE_INFINITY;
  const refresh = async (): Promise<void> => {
    if (performance.now() - refreshedAt < REFRESH_MS) return;
    board.replaceQueues(boardAdapters(boardQueues, await readPools({ state, queues })));
    refreshedAt = performance.now();
  };

  await fastify.register(
    async (scope) => {
      scope.addHook('preHandler', async ({ url }) => {
        if (url.startsWith(`${QUEUES_PATH}/api/`)) await answered(refresh());
      });
      scope.addHook('onSend', async (_request, reply, payload) => {
        const isPage = String(reply.getHeader('content-type')).startsWith('text/html');
        return isPage && typeof payload === 'string' ? withoutStrangers(payload) : payload;
      });
      await scope.register(serverAdapter.registerPlugin());
    },
    { prefix: QUEUES_PATH },
  );
}

type ServerAdapter = Parameters<typeof createBullBoard>[0]['serverAdapter'];
type ApiRoutes = Parameters<FastifyAdapter['setApiRoutes']>[0];

/** Serves what only reads. */
class LookingAdapter extends FastifyAdapter {
  override setApiRoutes(routes: ApiRoutes): this {
    return super.setApiRoutes(routes.filter(({ method }) => method === 'get')) as this;
  }
}

function boardAdapters(queues: BoardQueues, pools: readonly PoolRef[]): BullMQAdapter[] {
  return queues
    .list(pools)
    .map((queue) => new BullMQAdapter(queue, { readOnlyMode: true, allowRetries: false }));
}

/**
 * Its page as our policy lets it be: without a font server of somebody else, and without the inline styles of what is
 * shown while it loads.
 */
function withoutStrangers(page: string): string {
  return page
    .replace(/<link href="https:[^>]*>/g, '')
    .replace(/<div id="root">[\s\S]*?<\/style>\s*<\/div>/, '<div id="root">Loading</div>');
}
