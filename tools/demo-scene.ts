/** What every demo is made of: a home of its own, a sandbox cloud, workers, and Landfall's own command. */
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { execa } from 'execa';
import pc from 'picocolors';
import { POOLS } from '../src/domain/job.ts';
import {
  childEnvironment,
  pickEnvironment,
  type RunningTool,
  runTool,
  startTool,
} from '../src/processes/child.ts';
import { CLOUD_FOLDERS, type DemoCloud } from './demo-cloud.ts';

const root = join(import.meta.dirname, '..');
/** Its own whatever LANDFALL_HOME says: nobody's runs are removed by a demo. */
export const DEMO_HOME = join(root, '.landfall', 'demo');
const landfall = join(root, 'bin', 'landfall.mjs');

const START_TIMEOUT_MS = 30_000;
/** In its home: what a demo leaves and the next one removes. */
const PER_DEMO: ReadonlySet<string> = new Set(['redis', ...CLOUD_FOLDERS, 'staging', 'evidence']);
/** What a command that paints a terminal asks about it. */
const TERMINAL_VARIABLES = ['TERM', 'COLORTERM', 'NO_COLOR', 'FORCE_COLOR', 'CI'];

/** What a command of Landfall needs beside its arguments. */
export type Scene = { environment: Record<string, string>; signal: AbortSignal };

type SandboxNote = { url: string; environment: Record<string, string> };

export async function startSandbox(
  stack: AsyncDisposableStack,
  { cloud, signal }: { cloud: DemoCloud; signal: AbortSignal },
): Promise<SandboxNote> {
  const noted = Promise.withResolvers<SandboxNote>();
  const sandbox = stack.use(
    await startTool({
      command: process.execPath,
      args: [
        ...[landfall, 'sandbox', ...cloud.sandboxOptions],
        ...['--port', '0', '--folder', join(DEMO_HOME, cloud.folder), '--json'],
      ],
      environment: { LANDFALL_HOME: DEMO_HOME, LANDFALL_LOG: 'error' },
      cwd: root,
      onLine: (line) => {
        if (line.includes('"url"')) noted.resolve(JSON.parse(line) as SandboxNote);
      },
    }),
  );
  return Promise.race([noted.promise, failure(sandbox, 'The sandbox'), lateness('The sandbox', signal)]);
}

export async function startUp(
  stack: AsyncDisposableStack,
  scene: Scene,
  ...options: readonly string[]
): Promise<void> {
  const args = ['up', '--no-dashboard', ...options];
  await startUntil(stack, scene, {
    name: '`landfall up`',
    args,
    isReady: (line) => line.includes('Landfall is up'),
  });
}

/** The address that is easy to remember, or any other where somebody has it. */
const DASHBOARD_PORTS = ['8470', '0'];

/** As `startUp`, with a dashboard; gives its URL. */
export async function startUpWithDashboard(
  stack: AsyncDisposableStack,
  scene: Scene,
  ...options: readonly string[]
): Promise<string> {
  for (const port of DASHBOARD_PORTS) {
    let url: string | null = null;
    const isReady = (line: string): boolean => {
      url = /The dashboard is at (http:[^\s"]+)/.exec(line)?.[1] ?? null;
      return url !== null;
    };
    const args = ['up', '--listen', port, ...options];
    try {
      await startUntil(stack, scene, { name: '`landfall up`', args, isReady });
      if (url !== null) return url;
    } catch (error) {
      if (port === DASHBOARD_PORTS.at(-1) || !String(error).includes('cannot listen')) throw error;
    }
  }
  throw new Error('`landfall up` did not say where its dashboard is');
}

/** In the operator's browser, where there is a desktop. */
export async function openInBrowser(url: string): Promise<void> {
  const desktop = pickEnvironment([
    'DISPLAY',
    'WAYLAND_DISPLAY',
    'XDG_RUNTIME_DIR',
    'DBUS_SESSION_BUS_ADDRESS',
  ]);
  if (desktop.DISPLAY === undefined && desktop.WAYLAND_DISPLAY === undefined) return;
  await execa('xdg-open', [url], { env: desktop, reject: false, timeout: START_TIMEOUT_MS });
}

/** A process with a pool for every stage. */
export function startWorker(stack: AsyncDisposableStack, scene: Scene): Promise<RunningTool> {
  const args = ['worker', '--stage', POOLS.join(',')];
  const isReady = (line: string): boolean => line.includes('serves');
  return startUntil(stack, scene, { name: '`landfall worker`', args, isReady });
}

/** What a command prints. Throws where it fails. */
export async function askLandfall(args: readonly string[], { environment, signal }: Scene): Promise<string> {
  const { stdout } = await runTool({
    command: process.execPath,
    args: [landfall, ...args],
    environment,
    cwd: root,
    signal,
  });
  return stdout;
}

async function startUntil(
  stack: AsyncDisposableStack,
  { environment, signal }: Scene,
  { name, args, isReady }: { name: string; args: readonly string[]; isReady: (line: string) => boolean },
): Promise<RunningTool> {
  const ready = Promise.withResolvers<void>();
  const tool = stack.use(
    await startTool({
      command: process.execPath,
      args: [landfall, ...args],
      environment,
      cwd: root,
      onLine: (line) => {
        if (isReady(line)) ready.resolve();
      },
    }),
  );
  await Promise.race([ready.promise, failure(tool, name), lateness(name, signal)]);
  return tool;
}

/**
 * Runs in a session of its own, so that Ctrl-C reaches the demo first, which then ends everything, and dies with it
 * however it ends. Beside the tools of child.ts because it paints the terminal itself.
 */
export async function runLandfall(args: readonly string[], { environment, signal }: Scene): Promise<number> {
  const command = ['--pdeathsig', 'KILL', '--', process.execPath, landfall, ...args];
  const child = execa('setpriv', command, {
    stdio: 'inherit',
    env: childEnvironment({ ...pickEnvironment(TERMINAL_VARIABLES), ...environment }),
    extendEnv: false,
    cwd: root,
    reject: false,
    detached: true,
    cancelSignal: signal,
    killSignal: 'SIGKILL',
  });
  const { exitCode } = await child;
  signal.throwIfAborted();
  return exitCode ?? 1;
}

/** Every demo begins with an empty cloud and an empty ledger; only the estate is kept. Was there anything? */
export async function forgetLastTime(): Promise<boolean> {
  await mkdir(DEMO_HOME, { recursive: true });
  const left = (await readdir(DEMO_HOME)).filter((name) => PER_DEMO.has(name));
  for (const folder of left) await rm(join(DEMO_HOME, folder), { recursive: true, force: true });
  return left.length > 0;
}

export function say(line: string): void {
  console.log(`\n${pc.bold(`▌ ${line}`)}`);
}

async function failure(tool: RunningTool, name: string): Promise<never> {
  const { exitCode, stdout, stderr } = await tool.exited;
  throw new Error(`${name} ended (status ${exitCode}): ${stderr || stdout}`);
}

async function lateness(name: string, signal: AbortSignal): Promise<never> {
  await sleep(START_TIMEOUT_MS, undefined, { signal, ref: false });
  throw new Error(`${name} did not start within ${START_TIMEOUT_MS / 1000} s`);
}
