import type { Command } from 'commander';
import { findRun } from '../../operations/find-run.ts';
import { selectMachines } from '../../operations/select-machines.ts';
import { sourcesOff } from '../../operations/sources-off.ts';
import { cancelMachines } from '../../operations/steer.ts';
import type { CommandContext } from '../command-context.ts';
import { describeOff } from '../describe-off.ts';
import { openAppFor } from '../open-app.ts';
import { asOperator } from '../operator-name.ts';
import { sayChanged } from '../say-changed.ts';
import { addSelection, readSelection } from '../selection.ts';

type CancelOptions = { group?: string; reason?: string; json?: boolean };

export function addCancel(program: Command, context: CommandContext): void {
  addSelection(program.command('cancel'))
    .description(
      'stop machines where they are; what was uploaded stays until `cleanup`, what was turned off stays off until `rollback`, `retry` goes on from there',
    )
    .option('--reason <text>', 'kept in the audit trail')
    .option('--json', 'print one JSON document')
    .action((idOrWave: string, machine: string | undefined, options: CancelOptions) =>
      cancel(context, { idOrWave, machine, options }),
    );
}

async function cancel(
  context: CommandContext,
  { idOrWave, machine, options }: { idOrWave: string; machine: string | undefined; options: CancelOptions },
): Promise<void> {
  const { terminal } = context;
  const selection = readSelection(machine, options);
  await using app = await openAppFor(context);
  const run = await findRun(app.state, idOrWave);
  const machines = await selectMachines(app.state, run, selection);
  const changed = await cancelMachines({ run, machines, reason: options.reason ?? null }, asOperator(app));
  const off = sourcesOff(await selectMachines(app.state, run, selection));
  const goingBack = machines
    .filter(({ status }) => status === 'rolling-back')
    .map((each) => each.machine.name);
  if (options.json === true) return terminal.json({ run: run.id, machines: changed, off, goingBack });
  sayChanged(terminal, {
    json: false,
    run: run.id,
    changed,
    done: 'cancelled',
    nothing: 'Nothing was on the move.',
    next: `\`landfall cleanup ${run.id}\` removes what is left at the target.`,
  });
  for (const line of describeOff(run.id, off)) terminal.out(line);
  if (goingBack.length > 0)
    terminal.out(`${goingBack.join(', ')}: on the way back to the source, which goes on.`);
}
