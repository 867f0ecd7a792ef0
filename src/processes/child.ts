/**
 * Child processes with one owner. Each dies with its parent, even when the parent is killed with SIGKILL
 * (`setpriv --pdeathsig KILL`), runs without a shell, and can be limited by `prlimit`. None
 * inherits the environment: tools that read hostile images get to see no credentials.
 */
import type { Readable } from 'node:stream';
import { execa, type Options, type ResultPromise } from 'execa';
import { LandfallError } from '../domain/errors.ts';

export type ToolOptions = {
  command: string;
  args: readonly string[];
  signal?: AbortSignal;
  timeoutMs?: number;
  limits?: ToolLimits;
  /** Beside what `childEnvironment` gives to all. */
  environment?: Readonly<Record<string, string>>;
  cwd?: string;
  /** Called with each whole line of standard output; carriage returns end a line too (progress). */
  onLine?: (line: string) => void;
};

export type ToolLimits = { addressSpaceBytes?: number; cpuSeconds?: number };

export type ToolResult = {
  /** -1 when a signal ended it. */
  exitCode: number;
  /** For example SIGKILL: an operator, or the kernel out of memory. */
  endedBy: string | null;
  stdout: string;
  stderr: string;
};

/** A child that goes on while its owner works. Disposing ends it and waits until it is gone. */
export type RunningTool = AsyncDisposable & {
  pid: number;
  /** Settles when the child ended, for whatever reason; never rejects. */
  exited: Promise<ToolResult>;
  /** SIGTERM, then SIGKILL after `graceMs`. */
  stop(graceMs?: number): Promise<ToolResult>;
};

/** A tool that says more than this is stopped: none may fill our memory. */
const MAX_OUTPUT_BYTES = 8 * 1024 * 1024;
const TAIL_CHARACTERS = 64 * 1024;
const STOP_GRACE_MS = 3_000;
/** What every program may need and none can abuse. */
const INHERITED = ['PATH', 'HOME', 'USER', 'LOGNAME', 'TMPDIR', 'LANG', 'TZ'];

/** Runs a tool to its end. Throws `tool-missing`, `tool-failed` or `cancelled`. */
export async function runTool(options: ToolOptions): Promise<ToolResult> {
  const result = await tryTool(options);
  if (result.exitCode !== 0) {
    const said = result.stderr.trim() || result.stdout.trim() || 'it said nothing';
    throw new LandfallError({
      code: 'tool-failed',
      message: `${options.command} ended ${result.endedBy === null ? `with status ${result.exitCode}` : `by ${result.endedBy}`}: ${lastLines(said, 3)}`,
      retryable: result.endedBy !== null,
      context: { command: options.command, exitCode: result.exitCode },
    });
  }
  return result;
}

/** Runs a tool to its end and gives its exit status, whatever it is. Throws `tool-missing` or `cancelled`. */
export async function tryTool(options: ToolOptions): Promise<ToolResult> {
  options.signal?.throwIfAborted();
  const child = spawn(options);
  const result = await finish(child, options.command);
  options.signal?.throwIfAborted();
  return result;
}

/** Starts a tool that goes on; of what it says, the last 64 KiB are kept. Throws `tool-missing`. */
export async function startTool(options: ToolOptions): Promise<RunningTool> {
  options.signal?.throwIfAborted();
  const child = spawn(options, { buffer: false });
  const stdout = keepTail(child.stdout);
  const stderr = keepTail(child.stderr);
  const exited = finish(child, options.command).then(
    (result): ToolResult => ({ ...result, stdout: stdout(), stderr: stderr() }),
    (error: unknown): ToolResult => ({
      exitCode: -1,
      endedBy: null,
      stdout: stdout(),
      stderr: String(error),
    }),
  );
  const { pid } = child;
  if (pid === undefined) throw toolMissing(options.command, (await exited).stderr);
  const stop = async (graceMs = STOP_GRACE_MS): Promise<ToolResult> => {
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), graceMs);
    try {
      return await exited;
    } finally {
      clearTimeout(timer);
    }
  };
  return { pid, exited, stop, [Symbol.asyncDispose]: async () => void (await stop()) };
}

/** Where programs and temporary files are, messages in English, and what is given; nothing else of our environment. */
export function childEnvironment(given: Readonly<Record<string, string>> = {}): Record<string, string> {
  return { ...pickEnvironment(INHERITED), LC_ALL: 'C', ...given };
}

/** Those of these variables that are set: for a child that needs more than all do. */
export function pickEnvironment(names: readonly string[]): Record<string, string> {
  const picked: Record<string, string> = {};
  for (const name of names) {
    const value = process.env[name];
    if (value !== undefined) picked[name] = value;
  }
  return picked;
}

/**
 * glibc reserves 64 MiB of address space for each of up to 8 arenas a core. qemu's I/O threads, of which a slow disk
 * makes it start dozens, then met the limit: `qemu_thread_create: Resource temporarily unavailable`.
 */
function allocatorEnvironment(limits: ToolLimits | undefined): Record<string, string> {
  return limits?.addressSpaceBytes === undefined ? {} : { MALLOC_ARENA_MAX: '1' };
}

function spawn(options: ToolOptions, extra: { buffer?: boolean } = {}): Child {
  const args = [
    '--pdeathsig',
    'KILL',
    '--',
    ...limitArguments(options.limits),
    options.command,
    ...options.args,
  ];
  const own: Options = {
    env: { ...allocatorEnvironment(options.limits), ...childEnvironment(options.environment) },
    extendEnv: false,
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    ...(options.signal === undefined ? {} : { cancelSignal: options.signal }),
    ...(options.timeoutMs === undefined ? {} : { timeout: options.timeoutMs }),
  };
  const child: Child = execa('setpriv', args, { ...own, ...extra, ...EXECA_OPTIONS } as typeof EXECA_OPTIONS);
  if (options.onLine !== undefined) splitLines(child, options.onLine);
  return child;
}

const EXECA_OPTIONS = {
  stdin: 'ignore',
  reject: false,
  maxBuffer: MAX_OUTPUT_BYTES,
  stripFinalNewline: true,
  forceKillAfterDelay: STOP_GRACE_MS,
  // Ctrl-C in a terminal reaches us, not our children: we decide when they end.
  detached: true,
} as const;

type Child = ResultPromise<typeof EXECA_OPTIONS>;

async function finish(child: Child, command: string): Promise<ToolResult> {
  const result = await child;
  if (result.timedOut) {
    throw new LandfallError({
      code: 'tool-failed',
      message: `${command} did not end within ${result.durationMs / 1000} s and was stopped`,
      retryable: true,
    });
  }
  // setpriv answers 127 when the command cannot be found.
  if (result.exitCode === 127 || (result.exitCode === undefined && result.code === 'ENOENT')) {
    throw toolMissing(command, result.stderr ?? '');
  }
  return {
    exitCode: result.exitCode ?? -1,
    endedBy: result.signal ?? null,
    stdout: result.stdout ?? '',
    stderr: result.stderr ?? '',
  };
}

function keepTail(stream: Readable): () => string {
  let tail = '';
  stream.setEncoding('utf8');
  stream.on('data', (text: string) => {
    tail = (tail + text).slice(-TAIL_CHARACTERS);
  });
  return () => tail.trimEnd();
}

function splitLines(child: Child, onLine: (line: string) => void): void {
  let rest = '';
  child.stdout.setEncoding('utf8');
  child.stdout.on('data', (text: string) => {
    const lines = (rest + text).split(/[\r\n]+/);
    rest = lines.pop() ?? '';
    for (const line of lines) onLine(line);
  });
  child.stdout.on('end', () => {
    if (rest !== '') onLine(rest);
  });
}

function limitArguments(limits: ToolLimits | undefined): string[] {
  if (limits === undefined) return [];
  const args = ['prlimit'];
  if (limits.addressSpaceBytes !== undefined) args.push(`--as=${limits.addressSpaceBytes}`);
  if (limits.cpuSeconds !== undefined) args.push(`--cpu=${limits.cpuSeconds}`);
  return [...args, '--'];
}

function toolMissing(command: string, detail: string): LandfallError {
  return new LandfallError({
    code: 'tool-missing',
    message: `${command} is not installed (${detail.trim()}). Run \`npm run setup\` or \`landfall doctor\` to see what to install.`,
    context: { command },
  });
}

function lastLines(text: string, count: number): string {
  return text.split('\n').slice(-count).join(' | ');
}
