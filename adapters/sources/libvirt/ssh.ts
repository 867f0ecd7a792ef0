/** Runs commands on libvirt's host, over ssh, with what the URI says of the connection: https://libvirt.org/uri.html#ssh-transport */
import { randomUUID } from 'node:crypto';
import { LandfallError } from '../../../src/domain/errors.ts';
import {
  pickEnvironment,
  type RunningTool,
  startTool,
  type ToolResult,
  tryTool,
} from '../../../src/processes/child.ts';
import { virshFailure } from './virsh-failure.ts';

export type SshHost = {
  /** For messages. */
  uri: string;
  command: string;
  /** All but what is done there. */
  args: readonly string[];
};

export type Forwarded = {
  server: RunningTool /** Settles when the script said `ready`. */;
  ready: Promise<void>;
};

const TIMEOUT_MS = 60_000;
/** ssh itself failed; everything else is the remote command's own status. */
const SSH_FAILED = 255;
const ENVIRONMENT = ['SSH_AUTH_SOCK', 'KRB5CCNAME'];
/** No question is ever asked; a host that vanished is noticed after 3 × 15 s; no other session's connection is borrowed. */
const OPTIONS = [
  'BatchMode=yes',
  'ConnectTimeout=20',
  'ServerAliveInterval=15',
  'ServerAliveCountMax=3',
  'ControlMaster=no',
  'ControlPath=none',
  'ExitOnForwardFailure=yes',
  'StreamLocalBindMask=0177',
];

/** Throws `wave-invalid` where the URI names no host. */
export function sshHostOf(uri: string): SshHost {
  const url = URL.parse(uri);
  const user = decoded(url?.username ?? '');
  if (url === null || user === null || url.hostname === '' || url.hostname.startsWith('-')) {
    throw new LandfallError({
      code: 'wave-invalid',
      message: `The libvirt URI ${uri} names no host that ssh could reach. Write qemu+ssh://user@host/system, or set \`images: here\`.`,
    });
  }
  const { searchParams } = url;
  const keyFile = searchParams.get('keyfile');
  const args = [
    '-T',
    ...OPTIONS.flatMap((option) => ['-o', option]),
    ...(searchParams.get('no_verify') === '1' ? ['-o', 'StrictHostKeyChecking=no'] : []),
    ...(keyFile === null ? [] : ['-i', keyFile]),
    ...(url.port === '' ? [] : ['-p', url.port]),
    ...(user === '' ? [] : ['-l', user]),
  ];
  const host = url.hostname.replace(/^\[|\]$/g, '');
  return { uri, command: searchParams.get('command') ?? 'ssh', args: [...args, '--', host] };
}

/** Runs a shell script there, with these arguments. Throws `tool-failed` or `preflight-refused` where ssh failed. */
export async function runThere(
  host: SshHost,
  script: string,
  call: { args: readonly string[]; attempted: string; signal?: AbortSignal | undefined },
): Promise<ToolResult> {
  const { attempted, signal } = call;
  const result = await tryTool({
    command: host.command,
    args: [...host.args, remoteCommand(script, call.args)],
    timeoutMs: TIMEOUT_MS,
    environment: pickEnvironment(ENVIRONMENT),
    ...(signal === undefined ? {} : { signal }),
  });
  if (result.exitCode === SSH_FAILED || result.endedBy !== null) throw sshFailure(host, attempted, result);
  return result;
}

/** Starts a script there that goes on until this session ends, and brings one of its unix sockets here. */
export async function startThere(
  host: SshHost,
  script: string,
  start: { args: readonly string[]; localSocket: string; remoteSocket: string; signal: AbortSignal },
): Promise<Forwarded> {
  const { args, localSocket, remoteSocket, signal } = start;
  const { promise: ready, resolve: sayReady } = Promise.withResolvers<void>();
  const server = await startTool({
    command: host.command,
    args: ['-L', `${localSocket}:${remoteSocket}`, ...host.args, remoteCommand(script, args)],
    environment: pickEnvironment(ENVIRONMENT),
    signal,
    onLine: (line) => {
      if (line === 'ready') sayReady();
    },
  });
  return { server, ready };
}

/** null: it was not ssh that failed. */
export function explainSsh(host: SshHost, attempted: string, ended: { exitCode: number; stderr: string }) {
  return ended.exitCode === SSH_FAILED ? sshFailure(host, attempted, { ...ended, endedBy: null }) : null;
}

/** On the host, short enough for a socket: where /tmp is long, no name of ours helps. */
export function remoteFolderName(): string {
  return `/tmp/landfall-nbd-${randomUUID()}`;
}

function sshFailure(
  host: SshHost,
  attempted: string,
  { stderr, endedBy }: Pick<ToolResult, 'stderr' | 'endedBy'>,
) {
  return virshFailure({ attempted: `${attempted} over ssh`, uri: host.uri, endedBy, stderr });
}

/** null: a `%` in it stands for nothing. */
function decoded(text: string): string | null {
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}

/** One text for whatever login shell is there; single quotes mean the same to all of them. */
function remoteCommand(script: string, args: readonly string[]): string {
  return ['exec', 'sh', '-c', quote(script), 'landfall', ...args.map(quote)].join(' ');
}

function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
