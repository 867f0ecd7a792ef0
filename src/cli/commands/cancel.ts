import type { Command } from 'commander';
import { findMachines, findRun } from '../../operations/find-run.ts';
import { cancelMachines } from '../../operations/steer.ts';
import type { CommandContext } from '../command-context.ts';
import { openAppFor } from '../open-app.ts';
import { sayChanged } from '../say-changed.ts';

type CancelOptions = { reason?: string; json?: boolean };

export function addCancel(program: Command, context: CommandContext): void {
  program
    .command('cancel')
    .argument('<run>', 'run id or wave name')
    .argument('[machine]', 'only this machine')
    .description(
      'stop machines where they are; what was uploaded stays until `cleanup`, `retry` goes on from there',
    )
    .option('--reason <text>', 'kept in the audit trail')
    .option('--json', 'print one JSON document')
    .action(async (idOrWave: string, machine: string | undefined, options: CancelOptions) => {
      await using app = await openAppFor(context);
      const run = await findRun(app.state, idOrWave);
      const machines = await findMachines(app.state, run, machine);
      const changed = await cancelMachines({ run, machines, reason: options.reason ?? null }, app);
      sayChanged(context.terminal, {
        json: options.json === true,
        run: run.id,
        changed,
        done: 'cancelled',
        nothing: 'Nothing was on the move.',
        next: `\`landfall cleanup ${run.id}\` removes what is left at the target.`,
      });
    });
}
