import type { Command } from 'commander';
import { findMachines, findRun } from '../../operations/find-run.ts';
import type { CommandContext } from '../command-context.ts';
import { openViewFor } from '../open-app.ts';
import { describeEvent } from '../run-view.ts';

export function addLogs(program: Command, context: CommandContext): void {
  program
    .command('logs')
    .argument('<run>', 'run id or wave name')
    .argument('<machine>', 'machine of that run')
    .description('show what happened to a machine, in order')
    .option('--json', 'print events as NDJSON')
    .action(async (idOrWave: string, machine: string, options: { json?: boolean }) => {
      const { terminal } = context;
      await using view = await openViewFor(context);
      const run = await findRun(view.state, idOrWave);
      await findMachines(view.state, run, machine);
      for await (const event of view.state.events.readAll(run.id, '0')) {
        if (event.type === 'run' || event.machine !== machine) continue;
        const line = describeEvent(event);
        if (options.json === true) terminal.json(event);
        else if (line !== null) terminal.out(line);
      }
    });
}
