/** What virsh's words mean to an operator. They are libvirt's own, in English by LC_ALL=C; its exit status says only "failed". */
import { type ErrorCode, LandfallError } from '../../../src/domain/errors.ts';

type Meaning = { said: RegExp; code: ErrorCode; retryable: boolean; remedy: (uri: string) => string };

const AWAY: Meaning = {
  said: /failed to (re)?connect|Cannot recv data|Cannot write data|End of file while reading|client socket is closed|Connection (refused|reset|timed out|closed)|No route to host|Could not resolve|keepalive|Broken pipe|Timed out/i,
  code: 'source-unavailable',
  retryable: true,
  remedy: (uri) =>
    `libvirt is away there: see that libvirtd (or virtqemud) runs and that \`virsh --connect '${uri}' list\` answers.`,
};

/**
 * libvirt answers, but its qemu ended before it could be asked anything. libvirt then tells either what qemu said
 * last or, where it noticed the closed socket first, only that: by chance.
 */
const MONITOR_LOST: Meaning = {
  said: /(to|from|with) (the )?monitor: (Connection reset|Broken pipe|End of file|Input\/output)/i,
  code: 'tool-failed',
  retryable: true,
  remedy: (uri) =>
    `Its qemu ended as it started; why stands at the end of the machine's log on that host (\`/var/log/libvirt/qemu/\`), or try \`virsh --connect '${uri}' start\`.`,
};

/** In order: a refused connection also says that it failed to connect. */
const MEANINGS: readonly Meaning[] = [
  {
    said: /certificate|x509/i,
    code: 'preflight-refused',
    retryable: false,
    remedy: (uri) =>
      `The worker's user needs cacert.pem, clientcert.pem and clientkey.pem of the host's CA (in /etc/pki, ~/.pki/libvirt, or where \`?pkipath=\` of the URI says), and the host's certificate must name it as the URI does. \`virsh --connect '${uri}' list\` must answer.`,
  },
  {
    said: /Host key verification failed|REMOTE HOST IDENTIFICATION HAS CHANGED/i,
    code: 'preflight-refused',
    retryable: false,
    remedy: (uri) =>
      `The worker's user does not know this host's key: connect once by hand (\`virsh --connect '${uri}' list\`) and compare it.`,
  },
  {
    said: /authentication (failed|unavailable|cancelled)|access denied|Permission denied|polkit|not authorized|no agent available/i,
    code: 'preflight-refused',
    retryable: false,
    remedy: (uri) =>
      `Let the worker's user manage machines there: for a local libvirt put it into the group libvirt, over ssh give it a key without a passphrase or an agent. \`virsh --connect '${uri}' list --all\` must answer without a question.`,
  },
  {
    said: /failed to get (domain|pool|vol)|Domain not found|no domain with matching/i,
    code: 'not-found',
    retryable: false,
    remedy: (uri) => `\`virsh --connect '${uri}' list --all\` shows what is there.`,
  },
  {
    said: /Failed to get .*lock|is in use|already in use/i,
    code: 'conflict',
    retryable: true,
    remedy: () => 'Something has its disks open: a qemu-nbd that still serves them, or another machine.',
  },
  MONITOR_LOST,
  AWAY,
];

/** Nothing that is said of libvirt's own words is lost: they are in the message, at most so many. */
const MAX_WORDS = 600;

export function virshFailure(failure: {
  attempted: string;
  uri: string;
  endedBy: string | null;
  stderr: string;
}): LandfallError {
  const { attempted, uri, endedBy } = failure;
  const words = saidIn(failure.stderr);
  const said = endedBy === null ? words : `virsh was ended by ${endedBy}`;
  const meaning = MEANINGS.find((candidate) => candidate.said.test(failure.stderr));
  const remedy =
    meaning?.remedy(uri) ??
    `Look into the log of libvirt on that host, then try \`virsh --connect '${uri}'\`.`;
  return new LandfallError({
    code: meaning?.code ?? 'tool-failed',
    message: `${attempted} at ${uri} failed: ${said}. ${remedy}`,
    retryable: meaning?.retryable ?? true,
    context: { uri, isAway: meaning === AWAY, isMonitorLost: meaning === MONITOR_LOST },
  });
}

/** Was it libvirt that could not be reached, so that nothing is known of the machine? */
export function isAway(error: unknown): boolean {
  return error instanceof LandfallError && error.context.isAway === true;
}

/** Did a machine's qemu end before libvirt could tell why? Asked again, libvirt may tell. */
export function isMonitorLost(error: unknown): boolean {
  return error instanceof LandfallError && error.context.isMonitorLost === true;
}

function saidIn(stderr: string): string {
  const lines = stderr
    .split('\n')
    .map((line) => line.replace(/^error:\s*/, '').trim())
    .filter((line) => line !== '');
  return lines.join(': ').slice(0, MAX_WORDS).replace(/\.$/, '') || 'it said nothing';
}
