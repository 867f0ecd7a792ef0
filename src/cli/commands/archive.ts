import type { Command } from 'commander';
import { archiveRun } from '../../operations/archive-run.ts';
import { findRun } from '../../operations/find-run.ts';
import type { CommandContext } from '../command-context.ts';
import { describeArchived } from '../describe-archived.ts';
import { openAppFor } from '../open-app.ts';
import { asOperator } from '../operator-name.ts';

export function addArchive(program: Command, context: CommandContext): void {
  program
    .command('archive')
    .argument('<run>', 'run id or wave name')
    .description(
      'let go of an ended run: its wave and its machines are free for another; record and evidence stay',
    )
    .option('--json', 'print one JSON document')
    .action(async (idOrWave: string, options: { json?: boolean }) => {
      const { terminal } = context;
      await using app = await openAppFor(context);
      const run = await findRun(app.state, idOrWave);
      await archiveRun(run.id, asOperator(app));
      if (options.json === true) terminal.json({ run: run.id, archived: true });
      else {
        const machines = await app.state.machines.all(run.id, run.machines);
        terminal.out(`${describeArchived(run.id, machines)} Its proofs stay: \`landfall proof ${run.id}\`.`);
      }
    });
}
