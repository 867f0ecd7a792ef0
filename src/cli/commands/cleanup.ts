import type { Command } from 'commander';
import { cleanUpRun, findLeftovers } from '../../operations/discard.ts';
import { findMachines, findRun } from '../../operations/find-run.ts';
import { holdsLandingData } from '../../operations/roll-back.ts';
import type { CommandContext } from '../command-context.ts';
import { openAppFor } from '../open-app.ts';
import { discardDeps, nameLeftover, nothingLeft, showRemovals } from '../removals.ts';

type CleanupOptions = { dryRun?: boolean; json?: boolean };

export function addCleanup(program: Command, context: CommandContext): void {
  program
    .command('cleanup')
    .argument('<run>', 'run id or wave name')
    .description(
      'list and remove what failed and cancelled machines left at the target; landed ones are kept',
    )
    .option('--dry-run', 'only list')
    .option('--json', 'print one JSON document')
    .action((idOrWave: string, options: CleanupOptions) => cleanUp(context, idOrWave, options));
}

async function cleanUp(context: CommandContext, idOrWave: string, options: CleanupOptions): Promise<void> {
  const { terminal } = context;
  await using app = await openAppFor(context);
  const run = await findRun(app.state, idOrWave);
  const deps = discardDeps(app, run, context.interrupted);
  const machines = await findMachines(app.state, run, undefined);
  const nothing = nothingLeft(machines.filter(holdsLandingData).length);
  if (options.dryRun !== true)
    return showRemovals(context, await cleanUpRun(run, deps), { json: options.json === true, nothing });
  const leftovers = await findLeftovers(run, deps);
  if (options.json === true) return terminal.json(leftovers);
  if (leftovers.length === 0) terminal.out(nothing);
  for (const thing of leftovers) terminal.out(`· would remove  ${nameLeftover(thing)} (${thing.detail})`);
}
