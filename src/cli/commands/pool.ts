import type { Command } from 'commander';
import { LandfallError } from '../../domain/errors.ts';
import { POOLS, type PoolName, type PoolRef } from '../../domain/job.ts';
import {
  changePool,
  describePause,
  namePool,
  type PoolChange,
  type PoolStanding,
  readPools,
} from '../../operations/pool-control.ts';
import { describeSay } from '../../operations/say.ts';
import type { CommandContext } from '../command-context.ts';
import { formatTable } from '../format.ts';
import { openAppFor } from '../open-app.ts';
import { asOperator } from '../operator-name.ts';
import { siteName } from '../site-name.ts';

type PoolOptions = { site?: string; reason?: string; json?: boolean };

export function addPool(program: Command, context: CommandContext): void {
  program
    .command('pool')
    .argument('[change]', 'pause, resume or concurrency; left out: show all pools')
    .argument('[pool]', POOLS.join(', '))
    .argument('[steps]', 'with concurrency: steps at once of each process, or default')
    .description('pause or resume a worker pool on all hosts, or say how many steps it does at once')
    .option('--site <site>', 'the pool that serves this site', siteName)
    .option('--reason <text>', 'kept in the audit trail')
    .option('--json', 'print one JSON document')
    .action(
      async (
        change: string | undefined,
        pool: string | undefined,
        steps: string | undefined,
        options: PoolOptions,
      ) => {
        if (change === undefined) return await showPools(context, options);
        const of = { pool: readPool(pool), site: options.site ?? null };
        await applyChange(context, { of, change: readChange(change, steps), options });
      },
    );
}

async function showPools(context: CommandContext, { json }: PoolOptions): Promise<void> {
  await using app = await openAppFor(context);
  const pools = await readPools(app);
  if (json === true) return context.terminal.json(pools);
  const head = ['POOL', 'SLOTS', 'ACTIVE', 'WAITING', 'DELAYED', ''];
  for (const line of formatTable([head, ...pools.map(rowOf)])) context.terminal.out(line);
}

function rowOf(pool: PoolStanding): string[] {
  const { slots, active, waiting, delayed, isPaused, paused, concurrency } = pool;
  const notes = [
    ...(isPaused ? [paused === null ? 'paused' : `paused by ${describeSay(paused)}`] : []),
    ...(concurrency === null ? [] : [`${concurrency} at once in each process`]),
  ];
  return [namePool(pool), ...[slots, active, waiting, delayed].map(String), notes.join('; ')];
}

async function applyChange(
  context: CommandContext,
  { of, change, options }: { of: PoolRef; change: PoolChange; options: PoolOptions },
): Promise<void> {
  const { terminal } = context;
  await using app = await openAppFor(context);
  const isChanged = await changePool({ of, change, reason: options.reason ?? null }, asOperator(app));
  if (options.json === true) return terminal.json({ ...of, ...change, isChanged });
  const name = `Pool ${namePool(of)}`;
  if (!isChanged) return terminal.out(`${name}: it was so already.`);
  switch (change.kind) {
    case 'pause':
      return terminal.out(
        `${name} is paused on all hosts: ${describePause(of.pool)}; steps that run come to their end. \`landfall pool resume ${of.pool}${of.site === null ? '' : ` --site ${of.site}`}\` lets it go on.`,
      );
    case 'resume':
      return terminal.out(`${name} goes on.`);
    case 'concurrency':
      return terminal.out(
        change.value === null
          ? `${name}: as many steps at once as each process was started with.`
          : `${name}: ${change.value} step${change.value === 1 ? '' : 's'} at once in each process, on all hosts.`,
      );
    default:
      return change satisfies never;
  }
}

/** Throws `usage`. */
function readPool(word: string | undefined): PoolName {
  const pool = POOLS.find((known) => known === word);
  if (pool !== undefined) return pool;
  throw usage(`Name a pool: ${POOLS.join(', ')}.`);
}

function readChange(word: string, steps: string | undefined): PoolChange {
  if (word === 'concurrency') return { kind: word, value: readSteps(steps) };
  if ((word === 'pause' || word === 'resume') && steps === undefined) return { kind: word };
  throw usage(
    'Say what to do to which pool: `landfall pool pause upload`, `landfall pool resume upload` or `landfall pool concurrency upload 2`.',
  );
}

function readSteps(word: string | undefined): number | null {
  if (word === 'default') return null;
  if (word !== undefined && /^\d+$/.test(word)) return Number(word);
  throw usage('Say how many steps at once: `landfall pool concurrency upload 2`, or `default`.');
}

function usage(message: string): LandfallError {
  return new LandfallError({ code: 'usage', message });
}
