/** Entry of the command line: runs a command, reports its error once, sets the exit status. */
import { CommanderError } from 'commander';
import { readConfig } from '../config.ts';
import { asLandfallError, EXIT_LANDED, EXIT_USAGE, exitStatusOf } from '../domain/errors.ts';
import type { CommandContext } from './command-context.ts';
import { createProgram } from './program.ts';
import { createTerminal } from './terminal.ts';

/** For output on its way through a pipe. */
const LAST_WORDS_MS = 2_000;

const terminal = createTerminal();
const wantsJson = process.argv.includes('--json');
const interruption = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => interruption.abort(new Error(`stopped by ${signal}`)));
}
// `landfall status | head` closes our output: that is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(EXIT_LANDED);
  throw error;
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

function report(thrown: unknown): number {
  if (thrown instanceof CommanderError) {
    // Commander has written its message (or the help that was asked for) itself.
    if (thrown.exitCode === 0) return EXIT_LANDED;
    if (wantsJson) terminal.json({ error: { code: 'usage', message: thrown.message } });
    return EXIT_USAGE;
  }
  const error = asLandfallError(thrown);
  if (wantsJson)
    terminal.json({ error: { code: error.code, message: error.message, context: error.context } });
  else terminal.remark(`landfall: ${error.message}`);
  if (error.code === 'internal' && error.cause instanceof Error) terminal.remark(error.cause.stack ?? '');
  return exitStatusOf(error);
}
