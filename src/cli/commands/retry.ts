import type { Command } from 'commander';
import { LandfallError } from '../../domain/errors.ts';
import type { MachineRecord } from '../../domain/machine-record.ts';
import type { RunRecord } from '../../domain/run-record.ts';
import { findRun } from '../../operations/find-run.ts';
import { type Selection, selectMachines } from '../../operations/select-machines.ts';
import { whyNothingStarts } from '../../operations/stands-still.ts';
import { retryMachines } from '../../operations/steer.ts';
import type { CommandContext } from '../command-context.ts';
import { ensureUp } from '../ensure-up.ts';
import { hasRecords, openRecords } from '../open-records.ts';
import { asOperator } from '../operator-name.ts';
import { sayChanged } from '../say-changed.ts';
import { addSelection, readSelection } from '../selection.ts';

type RetryOptions = { group?: string; failed?: boolean; disk?: string; reason?: string; json?: boolean };

export function addRetry(program: Command, context: CommandContext): void {
  addSelection(program.command('retry'))
    .description('try a machine again from the step that failed; what is done stays done')
    .option('--failed', 'every machine that failed')
    .option('--disk <disk>', 'export and upload only this disk of the machine once more')
    .option('--reason <text>', 'kept in the audit trail')
    .option('--json', 'print one JSON document')
    .action((idOrWave: string, machine: string | undefined, options: RetryOptions) =>
      retry(context, { idOrWave, selection: readRetry(machine, options), options }),
    );
}

/** Throws `usage`: a retry of everything is never meant. */
function readRetry(machine: string | undefined, options: RetryOptions): Selection {
  const selection = readSelection(machine, options);
  if (selection.kind === 'all') {
    throw new LandfallError({
      code: 'usage',
      message: 'Name one machine, or give --group, or --failed for all that failed.',
    });
  }
  if (options.disk === undefined || selection.kind === 'machine') return selection;
  throw new LandfallError({
    code: 'usage',
    message: '--disk is of one machine: name it (`landfall retry RUN MACHINE --disk 0`).',
  });
}

type Retry = { idOrWave: string; selection: Selection; options: RetryOptions };

async function retry(context: CommandContext, of: Retry): Promise<void> {
  const { selection, options } = of;
  const { run, found, changed, standsInTheWay } = await retryIn(context, of);
  if (changed.length > 0) await ensureUp(context, run.wave);
  const next = `Follow with \`landfall watch ${run.id}\`.`;
  sayChanged(context.terminal, {
    json: options.json === true,
    run: run.id,
    changed,
    done: 'tried again',
    nothing: describeNothing(selection, found),
    next: standsInTheWay === null ? next : `${standsInTheWay} ${next}`,
  });
}

function describeNothing(selection: Selection, found: readonly MachineRecord[]): string {
  if (selection.kind === 'failing') return 'No machine failed.';
  const states = found.map(({ machine, status }) => `${machine.name} is ${status}`).join(', ');
  return `${states}: there is nothing to retry.`;
}

/** With nobody started yet: what is refused, and a retry of nothing, leaves no process behind. */
async function retryIn(
  context: CommandContext,
  { idOrWave, selection, options }: Retry,
): Promise<{
  run: RunRecord;
  found: readonly MachineRecord[];
  changed: readonly string[];
  standsInTheWay: string | null;
}> {
  if (!(await hasRecords(context.config()))) throw nothingWasRun(idOrWave);
  await using app = await openRecords(context);
  const run = await findRun(app.state, idOrWave);
  const found = await selectMachines(app.state, run, selection);
  const [reason, disk] = [options.reason ?? null, options.disk ?? null];
  const changed = await retryMachines({ run, machines: found, reason, disk }, asOperator(app));
  const standsInTheWay = whyNothingStarts(await findRun(app.state, run.id), await app.state.clock.now());
  return { run, found, changed, standsInTheWay };
}

function nothingWasRun(idOrWave: string): LandfallError {
  return new LandfallError({
    code: 'not-found',
    message: `There is no run ${idOrWave}. Nothing was run yet: start with \`landfall run WAVE\`.`,
  });
}
