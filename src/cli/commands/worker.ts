import { once } from 'node:events';
import { type Command, InvalidArgumentError } from 'commander';
import { LandfallError } from '../../domain/errors.ts';
import { POOLS, type PoolName } from '../../domain/job.ts';
import { createLog } from '../../log.ts';
import type { PoolSize } from '../../workers.ts';
import type { CommandContext } from '../command-context.ts';
import { logEvent } from '../log-events.ts';
import { siteName } from '../site-name.ts';

type WorkerOptions = {
  stage: PoolName[];
  site?: string;
  concurrency?: number;
  schedule?: boolean;
  json?: boolean;
};

export function addWorker(program: Command, context: CommandContext): void {
  program
    .command('worker')
    .description('run worker pools in this process until it is told to stop; jobs are given back within 2 s')
    .requiredOption(
      '--stage <stages>',
      `pools to serve, by comma or repeated: ${POOLS.join(', ')}`,
      collectStages,
      [],
    )
    .option('--site <site>', 'serve the waves whose source is at this site, and no others', siteName)
    .option('--concurrency <jobs>', 'jobs at once in each pool', positiveInteger)
    .option('--json', 'log JSON lines also on a terminal')
    .option('--schedule', 'also fire timers and reconcile, as `up` does')
    .action((options: WorkerOptions) => work(context, options));
}

async function work(context: CommandContext, options: WorkerOptions): Promise<void> {
  const { interrupted, terminal } = context;
  const { json } = options;
  if (options.stage.length === 0)
    throw new LandfallError({ code: 'usage', message: 'Give at least one --stage.' });
  const config = context.config();
  const log = createLog(config.logLevel, { isTerminal: terminal.isInteractive && json !== true });
  const { openApp } = await import('../../app.ts');
  const { DEFAULT_POOLS, startWorkers } = await import('../../workers.ts');
  await using app = await openApp(config, {
    notice: (state, detail) =>
      log('warn', state === 'away' ? `Redis is away (${detail}); waiting for it` : 'Redis is back'),
    onEvent: (event) => logEvent(log, event),
  });
  const pools = options.stage.map((stage) => ({
    stage,
    concurrency: options.concurrency ?? defaultConcurrency(stage, DEFAULT_POOLS),
  }));
  const site = options.site ?? null;
  await using workers = await startWorkers({ app, pools, site, schedules: options.schedule === true, log });
  void workers;
  log(
    'info',
    `Worker ${process.pid} serves ${pools.map(({ stage, concurrency }) => `${stage}×${concurrency}`).join(' ')}${site === null ? '' : ` at site ${site}`}`,
  );
  if (!interrupted.aborted) await once(interrupted, 'abort');
  log('info', 'Worker stops; running jobs are given back');
}

function defaultConcurrency(stage: PoolName, defaults: readonly PoolSize[]): number {
  return defaults.find((pool) => pool.stage === stage)?.concurrency ?? 1;
}

function collectStages(text: string, previous: PoolName[]): PoolName[] {
  const stages = text.split(',').map((name) => {
    const stage = POOLS.find((known) => known === name.trim());
    if (stage === undefined)
      throw new InvalidArgumentError(`${name} is not a stage; the stages are ${POOLS.join(', ')}.`);
    return stage;
  });
  return [...new Set([...previous, ...stages])];
}

function positiveInteger(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > 1000)
    throw new InvalidArgumentError('Give a whole number from 1 to 1000.');
  return value;
}
