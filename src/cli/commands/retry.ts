import type { Command } from 'commander';
import { LandfallError } from '../../domain/errors.ts';
import { findMachines, findRun } from '../../operations/find-run.ts';
import { retryMachines } from '../../operations/steer.ts';
import type { CommandContext } from '../command-context.ts';
import { ensureUp } from '../ensure-up.ts';
import { openAppFor } from '../open-app.ts';
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
  await ensureUp(context.config(), (line) => context.terminal.remark(line), context.interrupted);
  await using app = await openAppFor(context);
  const run = await findRun(app.state, idOrWave);
  const found = await findMachines(app.state, run, machine);
  const machines = options.failed === true ? found.filter((record) => record.status === 'failed') : found;
  const changed = await retryMachines({ run, machines, reason: options.reason ?? null }, app);
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
