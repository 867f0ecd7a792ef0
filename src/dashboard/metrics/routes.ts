/** `/metrics`: for whoever may look; a scraper brings a viewer's token. */
import type {} from '@fastify/swagger';
import type { FastifyInstance } from 'fastify';
import type { Queues } from '../../queue/queues.ts';
import { orAborted } from '../../state/or-aborted.ts';
import type { State } from '../../state/state.ts';
import { countHistory } from './accountant.ts';
import { createMetrics, type Facts } from './registry.ts';
import { readStanding } from './standing.ts';

/** Two scrapers, or ten, cost what one does. */
const FRESH_MS = 5_000;
/** The first count of a long history goes on behind; the next scrape tells more. */
const COUNT_MS = 2_000;
/** A Redis that takes longer is away; scrapers wait ten seconds. */
const ANSWER_MS = 4_000;

export function registerMetrics(
  fastify: FastifyInstance,
  { state, queues }: { state: State; queues: Queues },
): void {
  const metrics = createMetrics();
  let counting: Promise<void> | null = null;
  const count = async (): Promise<void> => {
    counting ??= countHistory(state).finally(() => {
      counting = null;
    });
    const late = AbortSignal.timeout(COUNT_MS);
    await orAborted(counting, late).catch((error: unknown) => {
      if (!late.aborted) throw error;
    });
  };
  const readFacts = async (): Promise<Facts> => {
    await count();
    const [standing, totals] = await Promise.all([readStanding(state, queues), state.metricTotals.read()]);
    return { standing, totals };
  };
  let reading: Promise<Facts> | null = null;
  const print = async (): Promise<string> => {
    const late = AbortSignal.timeout(COUNT_MS + ANSWER_MS);
    // While Redis is away one look waits for it, not one of each scrape.
    reading ??= readFacts().finally(() => {
      reading = null;
    });
    const facts = await orAborted(reading, late).catch((error: unknown) => {
      if (late.aborted) return null;
      throw error;
    });
    return metrics.print(facts);
  };
  let printed: { text: Promise<string>; at: number } | null = null;

  fastify.get(
    '/metrics',
    { config: { access: 'viewer' }, schema: { hide: true } },
    async (_request, reply) => {
      if (printed === null || performance.now() - printed.at > FRESH_MS) {
        const text = print();
        printed = { text, at: performance.now() };
        text.catch(() => {
          printed = null;
        });
      }
      return reply.type(metrics.contentType).send(await printed.text);
    },
  );
}
