import type { Command } from 'commander';
import { findRun } from '../../operations/find-run.ts';
import { findDependents, type RolledBack, rollBackMachines } from '../../operations/roll-back.ts';
import { selectMachines } from '../../operations/select-machines.ts';
import type { CommandContext } from '../command-context.ts';
import { ensureUp } from '../ensure-up.ts';
import { openAppFor } from '../open-app.ts';
import { asOperator } from '../operator-name.ts';
import { addSelection, readSelection } from '../selection.ts';
import type { Terminal } from '../terminal.ts';

type RollbackOptions = { group?: string; discardLandingData?: boolean; reason?: string; json?: boolean };

export function addRollback(program: Command, context: CommandContext): void {
  addSelection(program.command('rollback'))
    .description(
      'take machines back: what they made at the target is removed, and their source runs again as before; not after `commit`',
    )
    .option('--discard-landing-data', 'also machines that landed: what was written there since is deleted')
    .option('--reason <text>', 'kept in the audit trail')
    .option('--json', 'print one JSON document')
    .action((idOrWave: string, machine: string | undefined, options: RollbackOptions) =>
      rollBack(context, { idOrWave, machine, options }),
    );
}

async function rollBack(
  context: CommandContext,
  { idOrWave, machine, options }: { idOrWave: string; machine: string | undefined; options: RollbackOptions },
): Promise<void> {
  const { terminal } = context;
  const selection = readSelection(machine, options);
  await using app = await openAppFor(context);
  const run = await findRun(app.state, idOrWave);
  const machines = await selectMachines(app.state, run, selection);
  const discardsLandingData = options.discardLandingData === true;
  const of = { run, machines, reason: options.reason ?? null, discardsLandingData };
  const done = await rollBackMachines(of, asOperator(app));
  const all = await selectMachines(app.state, run, { kind: 'all' });
  const dependents = findDependents(run, new Set([...done.machines, ...done.already]), all);
  if (done.machines.length > 0) await ensureUp(context, run.wave);
  if (options.json === true) terminal.json({ run: run.id, ...done, dependents });
  else sayDone(terminal, { run: run.id, done, dependents });
}

function sayDone(
  terminal: Terminal,
  { run, done, dependents }: { run: string; done: RolledBack; dependents: readonly string[] },
): void {
  const { machines, cancelled, already } = done;
  if (machines.length > 0)
    terminal.out(
      `${machines.join(', ')}: on the way back. Follow with \`landfall watch ${run}\`; each is \`rolled-back\` once its source was seen to run.`,
    );
  if (cancelled.length > 0)
    terminal.out(`${cancelled.join(', ')}: never begun, so nothing was to be taken back; cancelled.`);
  if (already.length > 0) terminal.out(`${already.join(', ')}: on the way back already, or back.`);
  if (dependents.length > 0)
    terminal.out(
      `${dependents.join(', ')} came after what goes back, and ${dependents.length === 1 ? 'stays' : 'stay'} where it moved to: see whether to roll back, too.`,
    );
}
