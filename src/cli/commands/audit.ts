import type { Command } from 'commander';
import { isOnTrail } from '../../operations/audit-trail.ts';
import { findRun } from '../../operations/find-run.ts';
import type { CommandContext } from '../command-context.ts';
import { openViewFor } from '../open-app.ts';
import { describeEvent } from '../run-view.ts';

export function addAudit(program: Command, context: CommandContext): void {
  program
    .command('audit')
    .argument('<run>', 'run id or wave name')
    .description('show who did what and why, what gates stopped, and how machines ended, in order')
    .option('--json', 'print events as NDJSON')
    .action(async (idOrWave: string, options: { json?: boolean }) => {
      const { terminal } = context;
      await using view = await openViewFor(context);
      const run = await findRun(view.state, idOrWave);
      for await (const event of view.state.events.readAll(run.id, '0')) {
        if (!isOnTrail(event)) continue;
        const line = describeEvent(event);
        if (options.json === true) terminal.json(event);
        else if (line !== null) terminal.out(line);
      }
    });
}
