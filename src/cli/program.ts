/** The command line's grammar. Building it has no effects, so tests can parse with it. */
import { Command } from 'commander';
import { ENVIRONMENT } from '../config.ts';
import type { CommandContext } from './command-context.ts';
import { addApprove } from './commands/approve.ts';
import { addArchive } from './commands/archive.ts';
import { addAudit } from './commands/audit.ts';
import { addCancel } from './commands/cancel.ts';
import { addCleanup } from './commands/cleanup.ts';
import { addCommit } from './commands/commit.ts';
import { addCutover } from './commands/cutover.ts';
import { addDashboard } from './commands/dashboard.ts';
import { addDiscard } from './commands/discard.ts';
import { addDoctor } from './commands/doctor.ts';
import { addDown } from './commands/down.ts';
import { addHold } from './commands/hold.ts';
import { addInspect } from './commands/inspect.ts';
import { addLimit } from './commands/limit.ts';
import { addLogs } from './commands/logs.ts';
import { addPlan } from './commands/plan.ts';
import { addPool } from './commands/pool.ts';
import { addProof } from './commands/proof.ts';
import { addRelease } from './commands/release.ts';
import { addRetry } from './commands/retry.ts';
import { addRollback } from './commands/rollback.ts';
import { addRun } from './commands/run.ts';
import { addSandbox } from './commands/sandbox.ts';
import { addStatus } from './commands/status.ts';
import { addTokenCommand } from './commands/token.ts';
import { addUp } from './commands/up.ts';
import { addVerify } from './commands/verify.ts';
import { addWatch } from './commands/watch.ts';
import { addWorker } from './commands/worker.ts';
import { VERSION } from './version.ts';

const EXIT_HELP = `
Exit status:
  0    landed (or done)
  1    failed, or rolled back
  2    usage or invalid input: nothing was started
  3    some machines landed and some did not
  130  detached by Ctrl-C; the run goes on

Environment:
${Object.entries(ENVIRONMENT)
  .map(([name, meaning]) => `  ${name.padEnd(27)} ${meaning}`)
  .join('\n')}`;

export function createProgram(context: CommandContext): Command {
  const program = new Command('landfall')
    .description(
      'Moves virtual machines from on-prem disks into the cloud, in waves, and proves that they boot.',
    )
    .version(VERSION)
    .addHelpText('after', EXIT_HELP)
    .configureOutput({ writeErr: (text) => context.terminal.remark(text.trimEnd()) })
    .exitOverride();
  const add = [
    addPlan,
    addRun,
    addWatch,
    addStatus,
    addProof,
    addVerify,
    addLogs,
    addAudit,
    addApprove,
    addCutover,
    addHold,
    addRelease,
    addRetry,
    addRollback,
    addCommit,
    addLimit,
    addPool,
    addCancel,
    addDiscard,
    addCleanup,
    addArchive,
    addInspect,
    addDoctor,
    addUp,
    addDown,
    addDashboard,
    addWorker,
    addTokenCommand,
    addSandbox,
  ];
  for (const addCommand of add) addCommand(program, context);
  return program;
}
