/** What every command gets: its terminal, its configuration, a signal that Ctrl-C aborts, and the way to set the exit status. */
import type { Config } from '../config.ts';
import type { Terminal } from './terminal.ts';

export type CommandContext = {
  terminal: Terminal;
  /** Read late, so that a wrong environment is reported like any other error. */
  config(): Config;
  /** Aborts on the first SIGINT or SIGTERM. */
  interrupted: AbortSignal;
  exitWith(status: number): void;
};
