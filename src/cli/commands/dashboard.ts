import { once } from 'node:events';
import type { Command } from 'commander';
import { DEFAULT_LISTEN, type ListenAddress } from '../../dashboard/listen-address.ts';
import { homeFiles } from '../../home.ts';
import { createLog } from '../../log.ts';
import { embeddedRedisUrl } from '../../state/redis-server.ts';
import type { CommandContext } from '../command-context.ts';
import { listenAddress } from '../listen-option.ts';
import { openDashboard } from '../open-dashboard.ts';

type DashboardOptions = { listen: ListenAddress; json?: boolean };

export function addDashboard(program: Command, context: CommandContext): void {
  program
    .command('dashboard')
    .description('serve the dashboard and its API until it is told to stop; `up` does so, too')
    .option('--listen <address>', 'HOST:PORT (default 127.0.0.1:8470)', listenAddress, DEFAULT_LISTEN)
    .option('--json', 'log JSON lines also on a terminal')
    .action((options: DashboardOptions) => dashboard(context, options));
}

async function dashboard(context: CommandContext, { listen, json }: DashboardOptions): Promise<void> {
  const { interrupted, terminal } = context;
  const config = context.config();
  const log = createLog(config.logLevel, { isTerminal: terminal.isInteractive && json !== true });
  const { openApp } = await import('../../app.ts');
  // It waits for a Redis that is not there yet, where it will be.
  const redisUrl = config.redisUrl ?? embeddedRedisUrl(homeFiles(config.home).redis);
  await using app = await openApp(
    { ...config, redisUrl },
    {
      notice: (state, detail) =>
        log('warn', state === 'away' ? `Redis is away (${detail}); waiting for it` : 'Redis is back'),
    },
  );
  await using _dashboard = await openDashboard({ app, listen, log });
  if (!interrupted.aborted) await once(interrupted, 'abort');
  log('info', 'The dashboard is going down');
}
