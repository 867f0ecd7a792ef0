/**
 * `npm run demo [-- --target azure]`: builds a tiny on-prem estate, starts a sandbox cloud and Landfall's workers, migrates
 * two real Linux machines and checks what their guests say about their disks. Every process that it starts ends with it.
 */
import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { execa } from 'execa';
import pc from 'picocolors';
import { childEnvironment, pickEnvironment, type RunningTool, startTool } from '../src/processes/child.ts';
import { CLOUD_FOLDERS, CLOUD_NAMES, type DemoCloud, findCloud } from './demo-cloud.ts';
import { buildEstate, type Estate } from './estate/build.ts';

const root = join(import.meta.dirname, '..');
const home = join(root, '.landfall', 'demo');
const landfall = join(root, 'bin', 'landfall.mjs');

const START_TIMEOUT_MS = 30_000;
const EXIT_USAGE = 2;
const EXIT_INTERRUPTED = 130;
/** In its home: what a demo leaves and the next one removes. */
const PER_DEMO: ReadonlySet<string> = new Set(['redis', ...CLOUD_FOLDERS, 'staging', 'evidence']);
/** What a command that paints a terminal asks about it. */
const TERMINAL_VARIABLES = ['TERM', 'COLORTERM', 'NO_COLOR', 'FORCE_COLOR', 'CI'];

const interruption = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.on(signal, () => interruption.abort(new Error(signal)));

try {
  const cloud = chooseCloud(process.argv.slice(2));
  process.exitCode = cloud === null ? EXIT_USAGE : await demonstrate(cloud, interruption.signal);
} catch (error) {
  if (!interruption.signal.aborted) throw error;
  console.log('\nStopped. Everything the demo started has ended.');
  process.exitCode = EXIT_INTERRUPTED;
}

/** null, with a word to the operator, where the arguments name none. */
function chooseCloud(args: readonly string[]): DemoCloud | null {
  try {
    const { target } = parseArgs({
      args: [...args],
      options: { target: { type: 'string', default: 'aws' } },
    }).values;
    const cloud = findCloud(target);
    if (cloud !== null) return cloud;
    console.error(`There is no demo for the target ${JSON.stringify(target)}.`);
  } catch (error) {
    console.error(error instanceof Error ? error.message : String(error));
  }
  console.error(`Usage: npm run demo [-- --target ${CLOUD_NAMES.join('|')}]`);
  return null;
}

async function demonstrate(cloud: DemoCloud, signal: AbortSignal): Promise<number> {
  const startedAt = performance.now();
  say('Building a tiny on-prem estate: shop-db (OVA, BIOS, two disks) and shop-web (qcow2, UEFI)');
  const estate = await buildEstate({
    folder: join(home, 'estate'),
    signal,
    log: (line) => console.log(`  ${line}`),
  });
  if (await forgetLastTime()) console.log('  Removed what the last demo left: its cloud, run and evidence');
  await using stack = new AsyncDisposableStack();

  say(`Starting the sandbox cloud: ${cloud.serves}`);
  const sandbox = await startSandbox(stack, { cloud, signal });
  // Workers read all of it, NODE_EXTRA_CA_CERTS among it, once, when they start.
  const environment = { ...sandbox.environment, LANDFALL_HOME: home };
  say('Starting Redis and one worker pool per stage (landfall up)');
  await startUp(stack, environment, signal);

  say(`landfall run ${cloud.wave}`);
  const status = await runLandfall(['run', cloud.wave], { environment, signal });
  if (status !== 0) return status;
  say('What the guests say about their disks, against the files at the source');
  return (await compareHashes(estate)) ? finish(startedAt) : 1;
}

type SandboxNote = { url: string; environment: Record<string, string> };

async function startSandbox(
  stack: AsyncDisposableStack,
  { cloud, signal }: { cloud: DemoCloud; signal: AbortSignal },
): Promise<SandboxNote> {
  const noted = Promise.withResolvers<SandboxNote>();
  const sandbox = stack.use(
    await startTool({
      command: process.execPath,
      args: [
        ...[landfall, 'sandbox', ...cloud.sandboxOptions],
        ...['--port', '0', '--folder', join(home, cloud.folder), '--json'],
      ],
      environment: { LANDFALL_HOME: home, LANDFALL_LOG: 'error' },
      cwd: root,
      onLine: (line) => {
        if (line.includes('"url"')) noted.resolve(JSON.parse(line) as SandboxNote);
      },
    }),
  );
  return Promise.race([noted.promise, failure(sandbox, 'The sandbox'), lateness('The sandbox', signal)]);
}

async function startUp(
  stack: AsyncDisposableStack,
  environment: Record<string, string>,
  signal: AbortSignal,
): Promise<void> {
  const ready = Promise.withResolvers<void>();
  const up = stack.use(
    await startTool({
      command: process.execPath,
      args: [landfall, 'up'],
      environment,
      cwd: root,
      onLine: (line) => {
        if (line.includes('Landfall is up')) ready.resolve();
      },
    }),
  );
  await Promise.race([ready.promise, failure(up, '`landfall up`'), lateness('`landfall up`', signal)]);
}

/**
 * Runs in a session of its own, so that Ctrl-C reaches the demo first, which then ends everything, and dies with it
 * however it ends. Beside the tools of child.ts because it paints the terminal itself.
 */
async function runLandfall(
  args: readonly string[],
  { environment, signal }: { environment: Record<string, string>; signal: AbortSignal },
): Promise<number> {
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

/**
 * Every demo begins with an empty cloud and an empty ledger; only the estate is kept. That is why its home is its own
 * whatever LANDFALL_HOME says: nobody's runs are removed by it. Was there anything?
 */
async function forgetLastTime(): Promise<boolean> {
  await mkdir(home, { recursive: true });
  const left = (await readdir(home)).filter((name) => PER_DEMO.has(name));
  for (const folder of left) await rm(join(home, folder), { recursive: true, force: true });
  return left.length > 0;
}

async function compareHashes(estate: Estate): Promise<boolean> {
  let isEqual = true;
  for (const { machine, disk, sha256, file } of estate.expected) {
    const text = await readConsole(machine);
    const isFound = text.includes(`landfall-guest disk ${disk} sha256 ${sha256}`);
    const sign = isFound ? pc.green('✔') : pc.red('✖');
    console.log(
      `${sign} ${machine} disk ${disk}: sha256 ${sha256.slice(0, 16)}… of ${file}${isFound ? '' : ' is NOT what the guest read'}`,
    );
    isEqual &&= isFound;
  }
  return isEqual;
}

async function readConsole(machine: string): Promise<string> {
  const evidence = join(home, 'evidence');
  for (const run of await readdir(evidence)) {
    const found = await readFile(join(evidence, run, machine, 'console.txt'), 'utf8').catch(() => null);
    if (found !== null) return found;
  }
  return '';
}

function finish(startedAt: number): number {
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(0);
  console.log(
    `\nTwo machines landed and proved that they boot, in ${seconds} s (set-up not counted). Evidence, until the next demo: ${join(home, 'evidence')}`,
  );
  return 0;
}

function say(line: string): void {
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
