/**
 * Runs virsh against one libvirt. There are no bindings for Node that live, and virsh speaks every transport (unix
 * sockets, ssh, TLS) with the user's own keys and configuration. https://libvirt.org/manpages/virsh.html
 */
import { LandfallError } from '../../../src/domain/errors.ts';
import { pickEnvironment, tryTool } from '../../../src/processes/child.ts';
import { virshFailure } from './virsh-failure.ts';

export type Virsh = {
  readonly uri: string;
  /**
   * What the command printed. Throws `source-unavailable` where libvirt is away, `not-found` where it
   * knows no such domain, pool or volume.
   */
  run(args: readonly string[], call: VirshCall): Promise<string>;
  /** What it printed, its failures left out: for many commands at once, of which some may fail. */
  runAll(commands: readonly (readonly string[])[], call: VirshCall): Promise<string>;
};

export type VirshCall = {
  /** As the start of a sentence: "Reading the domain web01". */
  attempted: string;
  signal?: AbortSignal | undefined;
  timeoutMs?: number;
};

/** A busy libvirtd has been seen to take 20 s for `list` while it starts machines. */
const TIMEOUT_MS = 60_000;
/** A host that vanished is noticed after 5 × (3 + 1) s; without this, only when TCP gives up. */
const KEEPALIVE = ['--keepalive-interval', '5', '--keepalive-count', '3'];
/** Where the user's keys, sockets and passwords for libvirt are found. None of them holds a secret itself. */
const ENVIRONMENT = [
  'SSH_AUTH_SOCK',
  'KRB5CCNAME',
  'LIBVIRT_AUTH_FILE',
  'XDG_RUNTIME_DIR',
  'XDG_CONFIG_HOME',
  'XDG_CACHE_HOME',
];
/** What our own words may hold, so that virsh's splitting into commands cannot go wrong. */
const PLAIN_WORD = /^[\w./:-]+$/;

/** `uri`: https://libvirt.org/uri.html */
export function createVirsh(uri: string): Virsh {
  const connection = withoutPrompts(uri);
  const call = async (args: readonly string[], { signal, timeoutMs = TIMEOUT_MS }: VirshCall) =>
    await tryTool({
      command: 'virsh',
      args: ['--quiet', ...KEEPALIVE, '--connect', connection, ...args],
      timeoutMs,
      environment: pickEnvironment(ENVIRONMENT),
      ...(signal === undefined ? {} : { signal }),
    });
  return {
    uri,
    run: async (args, options) => {
      const { exitCode, endedBy, stdout, stderr } = await call(args, options);
      if (exitCode === 0) return stdout;
      throw virshFailure({ attempted: options.attempted, uri, endedBy, stderr });
    },
    runAll: async (commands, options) => {
      const { stdout, stderr, endedBy } = await call([commands.map(joinWords).join('; ')], options);
      if (endedBy === null && !isDisconnected(stderr)) return stdout;
      throw virshFailure({ attempted: options.attempted, uri, endedBy, stderr });
    },
  };
}

/** A password prompt would wait for ever: nobody sits before a worker. */
function withoutPrompts(uri: string): string {
  if (!/^\w+\+(ssh|libssh2?):/.test(uri) || /[?&]no_tty=/.test(uri)) return uri;
  return `${uri}${uri.includes('?') ? '&' : '?'}no_tty=1`;
}

function joinWords(words: readonly string[]): string {
  const strange = words.find((word) => !PLAIN_WORD.test(word));
  if (strange !== undefined) {
    throw new LandfallError({
      code: 'internal',
      message: `virsh cannot be given ${JSON.stringify(strange)} among several commands.`,
    });
  }
  return words.join(' ');
}

/** One command's failure leaves the others as they are; the loss of the connection does not. */
function isDisconnected(stderr: string): boolean {
  return /failed to (re)?connect to the hypervisor|client socket is closed|Cannot recv data|End of file while reading/i.test(
    stderr,
  );
}
