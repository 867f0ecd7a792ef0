/**
 * Ground for end-to-end tests: the sandbox cloud in this process, where its faults and its request log can be reached,
 * and Landfall itself only as its users have it: the command line, in processes of its own.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EC2Client } from '@aws-sdk/client-ec2';
import { S3Client } from '@aws-sdk/client-s3';
import type { JsonObject } from '../../src/domain/json.ts';
import { readUpNote } from '../../src/home.ts';
import { type RunningTool, startTool, tryTool } from '../../src/processes/child.ts';
import { DEMO_BUCKET, seedDemo } from '../../src/sandbox/seed.ts';
import { type Sandbox, type SandboxOptions, startSandbox } from '../../src/sandbox/server.ts';
import { openState, type State } from '../../src/state/state.ts';

export type Ground = AsyncDisposable & {
  /** Removed with the ground. */
  folder: string;
  /** LANDFALL_HOME of every command, workers apart. */
  home: string;
  sandbox: Sandbox;
  ec2: EC2Client;
  s3: S3Client;
  /** Runs a command to its end. */
  landfall(args: readonly string[], environment?: Readonly<Record<string, string>>): Promise<Told>;
  /** Starts a command that goes on; it ends with the ground. */
  start(args: readonly string[], environment?: Readonly<Record<string, string>>): Promise<RunningTool>;
  /** `landfall up`, ready. */
  up(...args: string[]): Promise<RunningTool>;
  /** `landfall worker`, ready. It shares Redis, staging and evidence with the others, and nothing else. */
  worker(stages: string, ...args: string[]): Promise<RunningTool>;
  /** The state as the `up` of this home holds it. */
  state(): Promise<State>;
  /** Writes a wave file for the sandbox; what is given is merged over what all waves here have. */
  writeWave(wave: WaveOf): Promise<string>;
};

export type Told = { status: number; stdout: string; stderr: string };

export type WaveOf = {
  name: string;
  machines: readonly JsonObject[];
  /** Of the source files; the ground's own by default. */
  sourceFolder?: string;
  target?: JsonObject;
  proof?: JsonObject;
  limits?: JsonObject;
};

export const BUCKET = DEMO_BUCKET;
export const SUBNET = 'subnet-0de0000000000001';
export const GROUP_WEB = 'sg-0de00000000000aa';
export const GROUP_DB = 'sg-0de00000000000bb';
export const MIB = 1024 * 1024;

const ROOT = join(import.meta.dirname, '..', '..');
const LANDFALL = join(ROOT, 'bin', 'landfall.mjs');
/** Kernel and boot files, shared by all tests: made once, with a download. */
export const CACHE = join(ROOT, '.landfall', 'test-cache', 'guest-cache');
const COMMAND_TIMEOUT_MS = 150_000;
const REGION = 'eu-central-1';

export type GroundOptions = {
  limits?: NonNullable<SandboxOptions['limits']>;
  /** Beside the sandbox's own, for every process. */
  environment?: Readonly<Record<string, string>>;
};

export async function openGround({ limits = {}, environment = {} }: GroundOptions = {}): Promise<Ground> {
  await using stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'landfall-e2e-'));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const sandbox = stack.use(
    await startSandbox({
      folder: join(folder, 'sandbox'),
      region: REGION,
      limits: { deletingMs: 200, shutdownMs: 100, healthyAfterMs: 500, ...limits },
    }),
  );
  await seedDemo(sandbox);
  const client = { endpoint: sandbox.url, region: REGION, credentials: sandbox.credentials };
  const ec2 = stack.adopt(new EC2Client(client), (it) => it.destroy());
  const s3 = stack.adopt(new S3Client({ ...client, forcePathStyle: true }), (it) => it.destroy());

  const home = join(folder, 'home');
  const common = {
    ...sandbox.environment,
    ...environment,
    ...NO_OTHER_ACCOUNT,
    LANDFALL_HOME: home,
    REDIS_URL: '',
    LANDFALL_LOG: 'warn',
  };
  // Ends before the sandbox does: what goes on would only complain.
  const running = stack.use(new AsyncDisposableStack());
  let workers = 0;
  const start: Ground['start'] = async (args, environment = {}) =>
    running.use(await startTool({ ...command(args), environment: { ...common, ...environment } }));
  const startReady = async (
    args: readonly string[],
    { sign, environment }: { sign: string; environment: Readonly<Record<string, string>> },
  ): Promise<RunningTool> => {
    const ready = Promise.withResolvers<void>();
    const tool = running.use(
      await startTool({
        ...command(args),
        environment: { ...common, ...environment, LANDFALL_LOG: 'info' },
        onLine: (line) => {
          if (line.includes(sign)) ready.resolve();
        },
      }),
    );
    const ended = tool.exited.then(({ exitCode, stdout, stderr }) => {
      throw new Error(`landfall ${args.join(' ')} ended with status ${exitCode}: ${stderr}\n${stdout}`);
    });
    await Promise.race([ready.promise, ended]);
    return tool;
  };

  const ground: Omit<Ground, keyof AsyncDisposable> = {
    folder,
    home,
    sandbox,
    ec2,
    s3,
    start,
    async landfall(args, environment = {}) {
      const { exitCode, stdout, stderr } = await tryTool({
        ...command(args),
        environment: { ...common, ...environment },
        timeoutMs: COMMAND_TIMEOUT_MS,
      });
      return { status: exitCode, stdout, stderr };
    },
    up: (...args) =>
      startReady(['up', '--no-dashboard', ...args], { sign: 'Landfall is up', environment: {} }),
    async worker(stages, ...args) {
      workers += 1;
      const environment = {
        LANDFALL_HOME: join(folder, `worker-${workers}`),
        LANDFALL_STAGING: join(home, 'staging'),
        LANDFALL_EVIDENCE: join(home, 'evidence'),
        REDIS_URL: await redisUrlOf(home),
      };
      return startReady(['worker', '--stage', stages, ...args], { sign: 'serves', environment });
    },
    async state() {
      return running.use(openState(await redisUrlOf(home)));
    },
    async writeWave(wave) {
      const file = join(folder, `${wave.name}.yaml`);
      await writeFile(file, JSON.stringify(waveFile(wave, folder), null, 2));
      return file;
    },
  };
  const owned = stack.move();
  return { ...ground, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** Whatever account the developer's own files and environment name must be out of reach. */
const NO_OTHER_ACCOUNT = {
  AWS_PROFILE: '',
  AWS_SESSION_TOKEN: '',
  AWS_CONFIG_FILE: '/dev/null',
  AWS_SHARED_CREDENTIALS_FILE: '/dev/null',
  AWS_EC2_METADATA_DISABLED: 'true',
};

function command(args: readonly string[]) {
  return { command: process.execPath, args: [LANDFALL, ...args], cwd: ROOT };
}

async function redisUrlOf(home: string): Promise<string> {
  const note = await readUpNote(home);
  if (note === null) throw new Error(`no \`landfall up\` owns ${home}`);
  return note.redisUrl;
}

function waveFile({ name, machines, sourceFolder, target, proof, limits }: WaveOf, folder: string) {
  return {
    name,
    source: { files: { folder: sourceFolder ?? folder } },
    target: { aws: { region: REGION, bucket: BUCKET, role: 'vmimport', partSizeMiB: 5, ...target } },
    defaults: {
      to: { subnet: SUBNET, groups: [GROUP_WEB] },
      proof: { expect: ['login:'], deadline: '2m', ...proof },
    },
    ...(limits === undefined ? {} : { limits }),
    machines,
  };
}

/** What a command printed with `--json`, one value per line. */
export function linesOf(told: Told): JsonObject[] {
  return told.stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as JsonObject);
}
