import type { Command } from 'commander';
import { findRun } from '../../operations/find-run.ts';
import { describeSay } from '../../operations/say.ts';
import { selectMachines } from '../../operations/select-machines.ts';
import { holdMachines } from '../../operations/steer.ts';
import { holdWholeRun } from '../../operations/steer-run.ts';
import type { CommandContext } from '../command-context.ts';
import { openAppFor } from '../open-app.ts';
import { asOperator } from '../operator-name.ts';
import { sayChanged } from '../say-changed.ts';
import { addSelection, readSelection } from '../selection.ts';

type HoldOptions = { group?: string; reason?: string; json?: boolean };

export function addHold(program: Command, context: CommandContext): void {
  addSelection(program.command('hold'))
    .description(
      'let nothing more begin: of the run (steps that run end), or of these machines (their steps stop where they are); `release` goes on from there',
    )
    .option('--reason <text>', 'kept in the audit trail')
    .option('--json', 'print one JSON document')
    .action((idOrWave: string, machine: string | undefined, options: HoldOptions) =>
      hold(context, { idOrWave, machine, options }),
    );
}

async function hold(
  context: CommandContext,
  { idOrWave, machine, options }: { idOrWave: string; machine: string | undefined; options: HoldOptions },
): Promise<void> {
  const { terminal } = context;
  const selection = readSelection(machine, options);
  const [reason, json] = [options.reason ?? null, options.json === true];
  await using app = asOperator(await openAppFor(context));
  const run = await findRun(app.state, idOrWave);
  if (selection.kind === 'all') {
    const said = await holdWholeRun({ run, reason }, app);
    if (json) return terminal.json({ run: run.id, hold: said.run.hold });
    if (!said.isChanged)
      return terminal.out(`Run ${run.id} is held already, by ${describeSay(said.run.hold)}.`);
    return terminal.out(
      `Run ${run.id} is held: no machine starts and no step begins; steps that run come to their end, and rollbacks go on. \`landfall release ${run.id}\` lets it go on.`,
    );
  }
  const machines = await selectMachines(app.state, run, selection);
  const changed = await holdMachines({ run, machines, reason }, app);
  sayChanged(terminal, {
    json,
    run: run.id,
    changed,
    done: 'held where they are',
    nothing: `Nothing to hold: ${machines.map((record) => `${record.machine.name} is ${record.status}`).join(', ')}.`,
    next: `\`landfall release ${run.id}${selection.kind === 'machine' ? ` ${selection.machine}` : selection.kind === 'group' ? ` --group ${selection.group}` : ''}\` lets them go on from there.`,
  });
}
