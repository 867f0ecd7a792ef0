/** Entry of the command line: runs a command, reports its error once, sets the exit status. */
import { CommanderError } from 'commander';
import { readConfig } from '../config.ts';
import { asLandfallError, EXIT_LANDED, EXIT_USAGE, exitStatusOf, LandfallError } from '../domain/errors.ts';
import type { CommandContext } from './command-context.ts';
import { EXIT_DETACHED } from './follow.ts';
import { createProgram } from './program.ts';
import { createTerminal } from './terminal.ts';

/** For output on its way through a pipe. */
const LAST_WORDS_MS = 2_000;
const COMMAND_END_MS = 3_000;
const DAEMON_END_MS = 15_000;
/** 128 + SIGPIPE. */
const EXIT_CLOSED_PIPE = 141;

const terminal = createTerminal();
const wantsJson = process.argv.includes('--json');
/** Their way out takes longer: jobs are given back, guests and Redis are ended. */
const isDaemon = ['up', 'worker', 'sandbox', 'dashboard'].includes(process.argv[2] ?? '');

const interruption = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => interrupt(signal));
// `landfall status | head` closes our output; a daemon works on without being heard.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  if (!isDaemon) process.exit(EXIT_CLOSED_PIPE);
});

const context: CommandContext = {
  terminal,
  config: () => readConfig(process.env, process.cwd()),
  interrupted: interruption.signal,
  exitWith: (status) => {
    process.exitCode = status;
  },
};

try {
  await createProgram(context).parseAsync();
} catch (thrown) {
  process.exitCode = report(thrown);
}
// The command is over: nothing that it forgot to close may keep the operator's shell waiting.
setTimeout(() => process.exit(), LAST_WORDS_MS).unref();

/** The first asks, the second insists; while Redis is away a command may not hear the first. */
function interrupt(signal: NodeJS.Signals): void {
  if (interruption.signal.aborted) process.exit(EXIT_DETACHED);
  interruption.abort(new LandfallError({ code: 'cancelled', message: `stopped by ${signal}` }));
  setTimeout(() => process.exit(EXIT_DETACHED), isDaemon ? DAEMON_END_MS : COMMAND_END_MS).unref();
}

function report(thrown: unknown): number {
  if (thrown instanceof CommanderError) {
    // Commander has written its message (or the help that was asked for) itself.
    if (thrown.exitCode === 0) return EXIT_LANDED;
    if (wantsJson) terminal.json({ error: { code: 'usage', message: thrown.message } });
    return EXIT_USAGE;
  }
  const error = asLandfallError(thrown);
  if (interruption.signal.aborted && error.code === 'cancelled' && !wantsJson) return EXIT_DETACHED;
  if (wantsJson)
    terminal.json({ error: { code: error.code, message: error.message, context: error.context } });
  else terminal.remark(`landfall: ${error.message}`);
  if (error.code === 'internal' && error.cause instanceof Error) terminal.remark(error.cause.stack ?? '');
  return interruption.signal.aborted ? EXIT_DETACHED : exitStatusOf(error);
}
