import type { Command } from 'commander';
import { LandfallError } from '../../domain/errors.ts';
import type { MachineRecord } from '../../domain/machine-record.ts';
import type { RunRecord } from '../../domain/run-record.ts';
import { findMachines, findRun } from '../../operations/find-run.ts';
import { retryMachines } from '../../operations/steer.ts';
import type { CommandContext } from '../command-context.ts';
import { ensureUp } from '../ensure-up.ts';
import { hasRecords, openRecords } from '../open-records.ts';
import { sayChanged } from '../say-changed.ts';

type RetryOptions = { failed?: boolean; reason?: string; json?: boolean };

export function addRetry(program: Command, context: CommandContext): void {
  program
    .command('retry')
    .argument('<run>', 'run id or wave name')
    .argument('[machine]', 'machine to retry')
    .description('try a machine again from the step that failed; what is done stays done')
    .option('--failed', 'every machine that failed')
    .option('--reason <text>', 'kept in the audit trail')
    .option('--json', 'print one JSON document')
    .action((idOrWave: string, machine: string | undefined, options: RetryOptions) =>
      retry(context, { idOrWave, machine, options }),
    );
}

async function retry(
  context: CommandContext,
  { idOrWave, machine, options }: { idOrWave: string; machine: string | undefined; options: RetryOptions },
): Promise<void> {
  if ((machine === undefined) === (options.failed !== true)) {
    throw new LandfallError({
      code: 'usage',
      message: 'Name one machine, or give --failed for all that failed.',
    });
  }
  const { run, found, changed } = await retryIn(context, {
    idOrWave,
    machine,
    reason: options.reason ?? null,
  });
  if (changed.length > 0) await ensureUp(context, run.wave);
  sayChanged(context.terminal, {
    json: options.json === true,
    run: run.id,
    changed,
    done: 'tried again',
    nothing:
      machine === undefined
        ? 'No machine failed.'
        : `${machine} is ${found[0]?.status}: there is nothing to retry.`,
    next: `Follow it with \`landfall watch ${run.id}\`.`,
  });
}

/** With nobody started yet: what is refused, and a retry of nothing, leaves no process behind. */
async function retryIn(
  context: CommandContext,
  of: { idOrWave: string; machine: string | undefined; reason: string | null },
): Promise<{ run: RunRecord; found: readonly MachineRecord[]; changed: readonly string[] }> {
  if (!(await hasRecords(context.config()))) throw nothingWasRun(of.idOrWave);
  await using app = await openRecords(context);
  const run = await findRun(app.state, of.idOrWave);
  const found = await findMachines(app.state, run, of.machine);
  const machines = of.machine === undefined ? found.filter((record) => record.status === 'failed') : found;
  return { run, found, changed: await retryMachines({ run, machines, reason: of.reason }, app) };
}

function nothingWasRun(idOrWave: string): LandfallError {
  return new LandfallError({
    code: 'not-found',
    message: `There is no run ${idOrWave}. Nothing was run yet: start with \`landfall run WAVE\`.`,
  });
}
