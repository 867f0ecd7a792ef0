import type { Command } from 'commander';
import { EXIT_FAILED } from '../../domain/errors.ts';
import { commitMachines } from '../../operations/commit.ts';
import { findRun } from '../../operations/find-run.ts';
import { selectMachines } from '../../operations/select-machines.ts';
import type { CommandContext } from '../command-context.ts';
import { openAppFor } from '../open-app.ts';
import { asOperator } from '../operator-name.ts';
import { addSelection, readSelection } from '../selection.ts';

type CommitOptions = { group?: string; reason?: string; json?: boolean };

export function addCommit(program: Command, context: CommandContext): void {
  addSelection(program.command('commit'))
    .description('end the way back for machines that landed; a note at their source says where they live now')
    .option('--reason <text>', 'kept in the audit trail')
    .option('--json', 'print one JSON document')
    .action((idOrWave: string, machine: string | undefined, options: CommitOptions) =>
      commit(context, { idOrWave, machine, options }),
    );
}

async function commit(
  context: CommandContext,
  { idOrWave, machine, options }: { idOrWave: string; machine: string | undefined; options: CommitOptions },
): Promise<void> {
  const { terminal, interrupted: signal } = context;
  const selection = readSelection(machine, options);
  await using app = await openAppFor(context);
  const run = await findRun(app.state, idOrWave);
  const machines = await selectMachines(app.state, run, selection);
  const { state, conductor } = app;
  const control = app.openSource(run.wave).control ?? null;
  const done = await commitMachines(
    { run, machines, reason: options.reason ?? null },
    asOperator({ state, conductor, control, signal }),
  );
  const failed = done.filter(({ noteFailure }) => noteFailure !== null);
  if (failed.length > 0) context.exitWith(EXIT_FAILED);
  if (options.json === true) return terminal.json({ run: run.id, machines: done });
  const named = (isChanged: boolean): string =>
    done.flatMap((each) => (each.isChanged === isChanged ? [each.machine] : [])).join(', ');
  if (done.length === 0) terminal.out(`No machine of ${run.id} has landed: there is nothing to commit.`);
  if (named(true) !== '') terminal.out(`${named(true)}: committed; there is no way back any more.`);
  if (named(false) !== '') terminal.out(`${named(false)}: committed before.`);
  const others = machines.length - done.length;
  if (done.length > 0 && others > 0)
    terminal.out(`${others} of these have not landed and can still go back: \`landfall status ${run.id}\`.`);
  for (const each of failed)
    terminal.out(
      `✖ ${each.machine}: committed, but its source has no note of it: ${each.noteFailure} Run this command again once that is mended.`,
    );
}
