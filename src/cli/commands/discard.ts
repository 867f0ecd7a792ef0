import type { Command } from 'commander';
import { LandfallError } from '../../domain/errors.ts';
import { discardMachines } from '../../operations/discard.ts';
import { findMachines, findRun } from '../../operations/find-run.ts';
import { holdsLandingData } from '../../operations/roll-back.ts';
import { sourcesOff } from '../../operations/sources-off.ts';
import type { CommandContext } from '../command-context.ts';
import { describeOff } from '../describe-off.ts';
import { openAppFor } from '../open-app.ts';
import { discardDeps, showRemovals } from '../removals.ts';

type DiscardOptions = { landed?: boolean; reason?: string; json?: boolean };

export function addDiscard(program: Command, context: CommandContext): void {
  program
    .command('discard')
    .argument('<run>', 'run id or wave name')
    .argument('[machine]', 'only this machine')
    .description('remove everything that machines made at the target; sources are never touched')
    .option('--landed', 'also machines that landed: their instances and disks are deleted')
    .option('--reason <text>', 'kept in the audit trail')
    .option('--json', 'print one JSON document')
    .action((idOrWave: string, machine: string | undefined, options: DiscardOptions) =>
      discard(context, { idOrWave, machine, options }),
    );
}

async function discard(
  context: CommandContext,
  { idOrWave, machine, options }: { idOrWave: string; machine: string | undefined; options: DiscardOptions },
): Promise<void> {
  await using app = await openAppFor(context);
  const run = await findRun(app.state, idOrWave);
  const machines = await findMachines(app.state, run, machine);
  const landed = machines.filter(holdsLandingData).map((record) => record.machine.name);
  if (landed.length > 0 && options.landed !== true) {
    throw new LandfallError({
      code: 'conflict',
      message: `${landed.join(', ')} landed and may be in service: discarding deletes the instances and their disks. Say so with --landed.`,
    });
  }
  const deps = discardDeps(app, run, context.interrupted);
  const removals = await discardMachines({ run, machines, reason: options.reason ?? null }, deps);
  showRemovals(context, removals, { json: options.json === true });
  const off = sourcesOff(await findMachines(app.state, run, machine));
  for (const line of describeOff(run.id, off)) context.terminal.remark(line);
}
