import type { Command } from 'commander';
import { findRun } from '../../operations/find-run.ts';
import type { CommandContext } from '../command-context.ts';
import { followToEnd } from '../follow-to-end.ts';
import { openViewFor } from '../open-app.ts';

export function addWatch(program: Command, context: CommandContext): void {
  program
    .command('watch')
    .argument('<run>', 'run id, or wave name for its current run')
    .description('follow a run; Ctrl-C lets go of it')
    .option('--json', 'print events as NDJSON')
    .action(async (idOrWave: string, options: { json?: boolean }) => {
      await using view = await openViewFor(context);
      const run = await findRun(view.state, idOrWave);
      await followToEnd(view, context, { run: run.id, json: options.json === true });
    });
}
