/**
 * Runs a command that the operator wrote into the wave. It is theirs, so unlike the tools that read images it sees the
 * worker's environment, where its credentials are. It has a process group of its own and ends with all it started there.
 */
import { stat } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { type RunningTool, startTool } from '../processes/child.ts';
import { consoleTail, readConsole } from './console-text.ts';

export type OperatorCommand = {
  /** The program and its arguments; no shell is between. */
  command: readonly string[];
  /** Beside the worker's own. */
  environment: Readonly<Record<string, string>>;
  /** Where it runs, if that is a folder here; else where the worker runs. */
  folder: string;
  timeoutMs: number;
  signal: AbortSignal;
};

export type CommandEnd = {
  kind: 'ended' | 'missing' | 'timed-out';
  /** -1 when it did not end by itself. */
  exitCode: number;
  /** As the end of "the hook …": "ended with status 3". */
  what: string;
  /** The last lines of what it said. */
  output: readonly string[];
};

/** What asks to end may need to undo what it began. */
const GRACE_MS = 3_000;

/**
 * Stands between a worker and the command, at the head of its process group, and takes the whole group along when the
 * worker is killed: the kernel tells it so by SIGHUP. A step that is done again would otherwise run beside what the
 * first one started. What asks the group to end (SIGTERM) is the command's to hear; 127 and 126 are the shell's own.
 */
const GUARD = `
trap 'kill -KILL 0' HUP
trap : TERM
"$@" &
while :; do wait $!; s=$?; kill -0 $! 2>/dev/null || exit $s; done
`;

/** Throws the signal's reason after it aborted, and then nothing of the command runs any more. */
export async function runOperatorCommand(run: OperatorCommand): Promise<CommandEnd> {
  const { signal, timeoutMs } = run;
  signal.throwIfAborted();
  const tool = await start(run);
  const ended = new AbortController();
  const over = sleep(timeoutMs, undefined, { signal: AbortSignal.any([signal, ended.signal]) });
  const result = await Promise.race([tool.exited, over.catch(() => undefined)]);
  ended.abort();
  if (result === undefined) {
    const left = await endTree(tool);
    signal.throwIfAborted();
    const what = `did not end within ${timeoutMs / 1000} s (nor did whatever it left behind that holds its output)`;
    return { kind: 'timed-out', exitCode: -1, what, output: tailOf(left) };
  }
  const { exitCode, endedBy } = result;
  if (exitCode === -1 && endedBy === null) {
    const what = `could not be started: this worker finds no program ${JSON.stringify(run.command[0])}`;
    return { kind: 'missing', exitCode, what, output: [] };
  }
  const what = endedBy === null ? `ended with status ${exitCode}` : `was ended by ${endedBy}`;
  return { kind: 'ended', exitCode, what, output: tailOf(result) };
}

async function start({ command, environment, folder }: OperatorCommand): Promise<RunningTool> {
  const isHere = (await stat(folder).catch(() => null))?.isDirectory() === true;
  return startTool({
    command: 'setpriv',
    args: ['--pdeathsig', 'HUP', '--', 'sh', '-c', GUARD, 'hook', ...command],
    environment: { ...inherited(), ...environment },
    ...(isHere ? { cwd: folder } : {}),
  });
}

function inherited(): Record<string, string> {
  const set = Object.entries(process.env).filter(
    (entry): entry is [string, string] => entry[1] !== undefined,
  );
  return Object.fromEntries(set);
}

type Said = { stdout: string; stderr: string };

/** Children are started as leaders of a group: what they start is in it, unless it left on purpose. */
async function endTree({ pid, exited }: RunningTool): Promise<Said> {
  signalGroup(pid, 'SIGTERM');
  const ended = await Promise.race([exited, sleep(GRACE_MS)]);
  // Also where it ended: those that it started may not have.
  signalGroup(pid, 'SIGKILL');
  return ended ?? (await Promise.race([exited, sleep(GRACE_MS)])) ?? { stdout: '', stderr: '' };
}

function signalGroup(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(-pid, name);
  } catch {
    // Nothing of it is left.
  }
}

function tailOf({ stdout, stderr }: Said): string[] {
  return consoleTail(readConsole(`${stdout}\n${stderr}`));
}
