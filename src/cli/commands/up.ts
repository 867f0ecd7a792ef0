import { once } from 'node:events';
import type { Command } from 'commander';
import type { App } from '../../app.ts';
import type { Config } from '../../config.ts';
import { DEFAULT_LISTEN, type ListenAddress } from '../../dashboard/listen-address.ts';
import type { Dashboard } from '../../dashboard/server.ts';
import { saveError } from '../../domain/errors.ts';
import { digestEnvironment } from '../../environment-digest.ts';
import { homeFiles, lockHome, writeUpNote } from '../../home.ts';
import { createLog, type Log } from '../../log.ts';
import { pingRedis } from '../../state/redis.ts';
import { startRedisServer } from '../../state/redis-server.ts';
import type { CommandContext } from '../command-context.ts';
import { listenAddress } from '../listen-option.ts';
import { logEvent } from '../log-events.ts';
import { openDashboard } from '../open-dashboard.ts';
import { siteName } from '../site-name.ts';

type UpOptions = {
  pools: boolean;
  dashboard: boolean;
  listen?: ListenAddress;
  site?: string;
  json?: boolean;
};

export function addUp(program: Command, context: CommandContext): void {
  program
    .command('up')
    .description(
      'own this home: Redis (unless REDIS_URL is set), timers, the reconciler, a worker pool per stage and the dashboard',
    )
    .option('--json', 'log JSON lines also on a terminal')
    .option(
      '--site <site>',
      'its pools serve the waves whose source is at this site, and no others',
      siteName,
    )
    .option('--no-pools', 'run no worker pools here; `landfall worker` runs them elsewhere')
    .option('--no-dashboard', 'serve no dashboard here; `landfall dashboard` serves it elsewhere')
    .option('--listen <address>', 'HOST:PORT of the dashboard (default 127.0.0.1:8470)', listenAddress)
    .action((options: UpOptions) => up(context, options));
}

async function up(context: CommandContext, options: UpOptions): Promise<void> {
  const { interrupted, terminal } = context;
  const { pools, dashboard, listen, site, json } = options;
  const config = context.config();
  const log = createLog(config.logLevel, { isTerminal: terminal.isInteractive && json !== true });
  const { openApp } = await import('../../app.ts');
  const { DEFAULT_POOLS, startWorkers } = await import('../../workers.ts');
  await using stack = new AsyncDisposableStack();
  stack.use(await lockHome(config.home, interrupted));
  const redisUrl = await openRedisFor(config, { stack, log });
  const app = stack.use(
    await openApp(
      { ...config, redisUrl },
      {
        notice: (state, detail) =>
          log('warn', state === 'away' ? `Redis is away (${detail}); waiting for it` : 'Redis is back'),
        onEvent: (event) => logEvent(log, event),
      },
    ),
  );
  stack.use(
    await startWorkers({ app, pools: pools ? DEFAULT_POOLS : [], site: site ?? null, schedules: true, log }),
  );
  const served = dashboard ? await serveDashboard({ app, listen, log }) : null;
  stack.use(served);
  const note = { pid: process.pid, redisUrl, environment: digestEnvironment(process.env) };
  stack.use(await writeUpNote(config.home, { ...note, dashboard: served?.url ?? null }));
  log(
    'info',
    `Landfall is up in ${config.home}${pools ? `, pools: ${DEFAULT_POOLS.map(({ stage, concurrency }) => `${stage}×${concurrency}`).join(' ')}` : ', without pools'}${site === undefined ? '' : ` at site ${site}`}`,
  );
  if (!interrupted.aborted) await once(interrupted, 'abort');
  log('info', 'Landfall is going down; running jobs are given back');
}

/** Runs go on without one: only an address that was asked for must be had. */
async function serveDashboard(of: {
  app: App;
  listen: ListenAddress | undefined;
  log: Log;
}): Promise<Dashboard | null> {
  const { app, listen, log } = of;
  if (listen !== undefined) return await openDashboard({ app, listen, log });
  try {
    return await openDashboard({ app, listen: DEFAULT_LISTEN, log });
  } catch (error) {
    log('warn', `This \`up\` serves no dashboard. ${saveError(error).message}`);
    return null;
  }
}

async function openRedisFor(
  config: Config,
  { stack, log }: { stack: AsyncDisposableStack; log: Log },
): Promise<string> {
  if (config.redisUrl !== null) {
    const { policy } = await pingRedis(config.redisUrl);
    if (policy !== 'noeviction')
      log(
        'warn',
        `Redis evicts keys (maxmemory-policy ${policy}): set it to noeviction, or runs may lose their records`,
      );
    return config.redisUrl;
  }
  const server = stack.use(
    await startRedisServer({ folder: homeFiles(config.home).redis, log: (message) => log('warn', message) }),
  );
  return server.url;
}
