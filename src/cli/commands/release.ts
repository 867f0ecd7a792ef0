import type { Command } from 'commander';
import type { RunRecord } from '../../domain/run-record.ts';
import { findRun } from '../../operations/find-run.ts';
import { type Selection, selectMachines } from '../../operations/select-machines.ts';
import { releaseMachines, type SteerDeps } from '../../operations/steer.ts';
import { releaseWholeRun } from '../../operations/steer-run.ts';
import type { CommandContext } from '../command-context.ts';
import { openAppFor } from '../open-app.ts';
import { asOperator } from '../operator-name.ts';
import { sayChanged } from '../say-changed.ts';
import { addSelection, readSelection } from '../selection.ts';

type ReleaseOptions = { group?: string; reason?: string; json?: boolean };

export function addRelease(program: Command, context: CommandContext): void {
  addSelection(program.command('release'))
    .description('let a held run go on, or held machines; those that failed are tried again by it')
    .option('--reason <text>', 'kept in the audit trail')
    .option('--json', 'print one JSON document')
    .action(async (idOrWave: string, machine: string | undefined, options: ReleaseOptions) => {
      const selection = readSelection(machine, options);
      const of = { reason: options.reason ?? null, json: options.json === true };
      await using app = asOperator(await openAppFor(context));
      const run = await findRun(app.state, idOrWave);
      if (selection.kind === 'all') await releaseRun(context, { run, ...of }, app);
      else await releaseSome(context, { run, selection, ...of }, app);
    });
}

type Release = { run: RunRecord; reason: string | null; json: boolean };

async function releaseRun(
  { terminal }: CommandContext,
  { run, reason, json }: Release,
  deps: SteerDeps,
): Promise<void> {
  const said = await releaseWholeRun({ run, reason }, deps);
  const machines = await selectMachines(deps.state, run, { kind: 'all' });
  const held = machines.filter(({ status }) => status === 'held').map((record) => record.machine.name);
  if (json) return terminal.json({ run: run.id, isChanged: said.isChanged, stillHeld: held });
  terminal.out(said.isChanged ? `Run ${run.id} goes on (${said.run.status}).` : `Run ${run.id} is not held.`);
  if (held.length > 0)
    terminal.out(
      `Held by themselves, until each is released, retried, rolled back or cancelled: ${held.join(', ')} (\`landfall release ${run.id} ${held[0]}\`).`,
    );
}

async function releaseSome(
  { terminal }: CommandContext,
  { run, selection, reason, json }: Release & { selection: Selection },
  deps: SteerDeps,
): Promise<void> {
  const machines = await selectMachines(deps.state, run, selection);
  const changed = await releaseMachines({ run, machines, reason }, deps);
  const runIsHeld =
    run.hold === null
      ? ''
      : ` Nothing moves before the run is released, too: \`landfall release ${run.id}\`.`;
  sayChanged(terminal, {
    json,
    run: run.id,
    changed,
    done: 'released',
    nothing: `Not held: ${machines.map((record) => `${record.machine.name} is ${record.status}`).join(', ')}.`,
    next: `Follow with \`landfall watch ${run.id}\`.${runIsHeld}`,
  });
}
