import type { Command } from 'commander';
import { findRun } from '../../operations/find-run.ts';
import { describeSay } from '../../operations/say.ts';
import { approveWholeRun } from '../../operations/steer-run.ts';
import type { CommandContext } from '../command-context.ts';
import { openAppFor } from '../open-app.ts';
import { asOperator } from '../operator-name.ts';
import { describeWindow } from '../run-facts.ts';

export function addApprove(program: Command, context: CommandContext): void {
  program
    .command('approve')
    .argument('<run>', 'run id or wave name')
    .description('let a run begin whose wave wants approval; who and when is kept')
    .option('--reason <text>', 'kept in the audit trail, for example the number of a change')
    .option('--json', 'print one JSON document')
    .action(async (idOrWave: string, options: { reason?: string; json?: boolean }) => {
      const { terminal } = context;
      await using app = await openAppFor(context);
      const { run, isChanged } = await approveWholeRun(
        { run: await findRun(app.state, idOrWave), reason: options.reason ?? null },
        asOperator(app),
      );
      if (options.json === true)
        return terminal.json({ run: run.id, status: run.status, approval: run.approval });
      const by = describeSay(run.approval);
      terminal.out(
        isChanged ? `Run ${run.id} is approved, by ${by}.` : `Run ${run.id} was approved before, by ${by}.`,
      );
      for (const line of describeWindow(run, await app.state.clock.now())) terminal.out(line);
    });
}
