/** Is this host fit to work? One finding per thing that a run needs, each with its remedy. */
import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { access, mkdir, statfs } from 'node:fs/promises';
import { hostname } from 'node:os';
import type { Config } from '../config.ts';
import { saveError } from '../domain/errors.ts';
import { warned } from '../domain/finding.ts';
import type { Evidence, Finding } from '../domain/ports.ts';
import { fastestDeflater } from '../images/deflate.ts';
import { runTool } from '../processes/child.ts';
import { liveWorkers } from '../state/heartbeats.ts';
import { createPoolSettings } from '../state/pool-settings.ts';
import { closeRedis, openRedis, pingRedis } from '../state/redis.ts';
import { describePaused } from './pool-control.ts';

export type Host = { config: Config; evidence: Evidence; redisUrl: string | null; signal: AbortSignal };

type Tool = { command: string; args: readonly string[]; needed: boolean; purpose: string; package: string };

const TOOLS: readonly Tool[] = [
  {
    command: 'qemu-img',
    args: ['--version'],
    needed: true,
    purpose: 'makes the disks of the sandbox',
    package: 'qemu-utils',
  },
  { command: 'qemu-nbd', args: ['--version'], needed: true, purpose: 'reads disks', package: 'qemu-utils' },
  {
    command: 'setpriv',
    args: ['--version'],
    needed: true,
    purpose: 'ends children with their parent',
    package: 'util-linux',
  },
  {
    command: 'prlimit',
    args: ['--version'],
    needed: true,
    purpose: 'limits qemu on foreign images',
    package: 'util-linux',
  },
  {
    command: 'flock',
    args: ['--version'],
    needed: true,
    purpose: 'locks the home folder',
    package: 'util-linux',
  },
  {
    command: 'redis-server',
    args: ['--version'],
    needed: false,
    purpose: 'is the embedded Redis of `landfall up`, unless REDIS_URL is set',
    package: 'redis-server',
  },
  {
    command: 'virsh',
    args: ['--version'],
    needed: false,
    purpose: 'speaks to KVM hosts, for waves from libvirt',
    package: 'libvirt-clients',
  },
  {
    command: 'qemu-system-x86_64',
    args: ['--version'],
    needed: false,
    purpose: 'boots guests in the sandbox',
    package: 'qemu-system-x86',
  },
];

const LITTLE_SPACE_BYTES = 20 * 1024 ** 3;

export async function examineHost(host: Host): Promise<Finding[]> {
  const tools = await Promise.all(TOOLS.map((tool) => examineTool(tool, host.signal)));
  return [
    examineNode(),
    ...tools,
    examineDeflater(),
    ...(await examineRedis(host)),
    await examineStaging(host),
    await examineEvidence(host),
  ];
}

function examineNode(): Finding {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  const isEnough = major > 22 || (major === 22 && minor >= 18);
  return {
    level: isEnough ? 'ok' : 'fail',
    subject: 'node',
    message: `version ${process.versions.node}`,
    remedy: isEnough ? null : 'Landfall needs Node 22.18 or newer; `npm run setup` brings one.',
  };
}

async function examineTool(tool: Tool, signal: AbortSignal): Promise<Finding> {
  try {
    const { stdout } = await runTool({ command: tool.command, args: tool.args, signal, timeoutMs: 10_000 });
    const message = `version ${versionIn(stdout)}; ${tool.purpose}`;
    return { level: 'ok', subject: tool.command, message, remedy: null };
  } catch {
    return {
      level: tool.needed ? 'fail' : 'warn',
      subject: tool.command,
      message: `not found; ${tool.purpose}`,
      remedy: `apt-get install ${tool.package}`,
    };
  }
}

/** Both do; one needs two thirds of the time. */
function examineDeflater(): Finding {
  if (fastestDeflater() === 'libdeflate')
    return { level: 'ok', subject: 'libdeflate', message: 'found; deflates VMDKs', remedy: null };
  return {
    level: 'warn',
    subject: 'libdeflate',
    message: "not found; VMDKs are deflated by Node's zlib, which takes half as long again",
    remedy: 'apt-get install libdeflate0',
  };
}

/** Tools say it in a line of their own making: `Redis server v=7.0.15 sha=00000000:0 malloc=…`. */
function versionIn(said: string): string {
  return /\d+(\.\d+)+/.exec(said)?.[0] ?? 'unknown';
}

async function examineRedis({ redisUrl, config }: Host): Promise<Finding[]> {
  if (redisUrl === null) {
    return [
      {
        level: 'warn',
        subject: 'redis',
        message: `none is running: no REDIS_URL, and no \`landfall up\` owns ${config.home}`,
        remedy:
          'Nothing to do for one host: `landfall run` starts an embedded one. Several hosts need one Redis: set REDIS_URL.',
      },
    ];
  }
  try {
    const { version, policy, appendOnly } = await pingRedis(redisUrl);
    const isSafe = policy === 'noeviction' && appendOnly;
    const redis: Finding = {
      level: isSafe ? 'ok' : 'warn',
      subject: 'redis',
      message: `version ${version}, maxmemory-policy ${policy}, append-only file ${appendOnly ? 'on' : 'off'}`,
      remedy: isSafe
        ? null
        : 'Set `maxmemory-policy noeviction` and `appendonly yes`, or runs may lose their records.',
    };
    return [redis, ...(await examineWorkers(redisUrl))];
  } catch (error) {
    return [{ level: 'fail', subject: 'redis', message: saveError(error).message, remedy: null }];
  }
}

async function examineWorkers(redisUrl: string): Promise<Finding[]> {
  const redis = openRedis(redisUrl);
  try {
    const workers = await liveWorkers(redis);
    const stages = new Set(workers.flatMap((worker) => worker.pools.map((pool) => pool.stage)));
    const hasScheduler = workers.some((worker) => worker.schedules);
    const alive: Finding = {
      level: workers.length > 0 && hasScheduler ? 'ok' : 'warn',
      subject: 'workers',
      message: `${workers.length} alive, serving ${stages.size === 0 ? 'nothing' : [...stages].join(', ')}${hasScheduler ? '' : '; nobody fires timers'}`,
      remedy: hasScheduler ? null : 'Start `landfall up`.',
    };
    const settings = await createPoolSettings(redis).read();
    const paused = settings.flatMap((each) =>
      each.paused === null ? [] : describePaused({ ...each, paused: each.paused }),
    );
    return [alive, ...paused.map(({ message, remedy }) => warned('pools', message, remedy))];
  } finally {
    closeRedis(redis);
  }
}

async function examineStaging({ config }: Host): Promise<Finding> {
  const subject = `staging ${config.staging}`;
  try {
    await mkdir(config.staging, { recursive: true });
    await access(config.staging, constants.W_OK);
    const { bavail, bsize } = await statfs(config.staging);
    const freeBytes = bavail * bsize;
    const gib = (freeBytes / 1024 ** 3).toFixed(0);
    if (freeBytes >= LITTLE_SPACE_BYTES)
      return { level: 'ok', subject, message: `${gib} GiB free`, remedy: null };
    return {
      level: 'warn',
      subject,
      message: `only ${gib} GiB free`,
      remedy: 'Converted disks need room here; `plan` checks a wave. LANDFALL_STAGING names another folder.',
    };
  } catch (error) {
    return {
      level: 'fail',
      subject,
      message: saveError(error).message,
      remedy: 'Make the folder writable, or set LANDFALL_STAGING.',
    };
  }
}

async function examineEvidence({ evidence, config, signal }: Host): Promise<Finding> {
  const subject = `evidence ${config.evidence}`;
  const file = `doctor/${hostname()}`;
  const probe = randomUUID();
  try {
    await evidence.put(file, probe, signal);
    const read = await evidence.get(file, signal);
    if (read === null || new TextDecoder().decode(read) !== probe)
      throw new Error('what was written could not be read again');
    const isShared = config.evidence.startsWith('s3://');
    return {
      level: 'ok',
      subject,
      message: isShared
        ? 'can be written and read'
        : 'can be written and read; workers on other hosts must see the same folder',
      remedy: null,
    };
  } catch (error) {
    return {
      level: 'fail',
      subject,
      message: saveError(error).message,
      remedy: 'Make it writable, or set LANDFALL_EVIDENCE.',
    };
  }
}
