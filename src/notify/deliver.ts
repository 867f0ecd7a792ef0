/** Hands one notice to one receiver. Its address is resolved here, and told to nobody. */
import { createTransport } from 'nodemailer';
import { resolveEnvReferences } from '../domain/env-reference.ts';
import type { NoticeChannel } from '../domain/wave.ts';
import { headlineOf, type Notice } from './notice.ts';

const TIMEOUT_MS = 10_000;

/** Resolves once the receiver has taken it, with those of its addresses that were refused. */
export async function deliver(
  notice: Notice,
  channel: NoticeChannel,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const within = AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]);
  switch (channel.kind) {
    case 'webhook':
      return await post(notice, resolved(channel.url), within);
    case 'mail':
      return await mail(notice, { ...channel, smtp: resolved(channel.smtp) }, within);
    default:
      return channel satisfies never;
  }
}

/** As the wave names it, so that no secret is in it. */
export function nameChannel(channel: NoticeChannel): string {
  return channel.kind === 'webhook'
    ? `the webhook ${withoutUser(channel.url)}`
    : `mail by ${withoutUser(channel.smtp)}`;
}

async function post(notice: Notice, url: string, signal: AbortSignal): Promise<readonly string[]> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'user-agent': 'landfall' },
    body: JSON.stringify(notice),
    // Followed, most redirections make a GET of it, which tells nobody anything.
    redirect: 'manual',
    signal,
  });
  await response.body?.cancel();
  if (!response.ok) throw new Error(`it answered ${response.status} ${response.statusText}`.trim());
  return [];
}

async function mail(
  notice: Notice,
  { smtp, from, to }: Extract<NoticeChannel, { kind: 'mail' }>,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const timeouts = { connectionTimeout: TIMEOUT_MS, greetingTimeout: TIMEOUT_MS, socketTimeout: TIMEOUT_MS };
  const transport = createTransport({ url: smtp, ...timeouts });
  const close = (): void => transport.close();
  signal.addEventListener('abort', close);
  const aborted = new Promise<never>((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error));
  });
  try {
    signal.throwIfAborted();
    const sending = transport.sendMail({ from, to: [...to], ...letterOf(notice) });
    const { rejected } = await Promise.race([sending, aborted]);
    return rejected.map(String);
  } finally {
    signal.removeEventListener('abort', close);
    close();
  }
}

/** A letter that is sent again after a crash has the same id: many readers show it once. */
function letterOf(notice: Notice): { messageId: string; subject: string; text: string } {
  const { id, text, at, run } = notice;
  return {
    messageId: `<${encodeURIComponent(id)}@landfall>`,
    subject: `[landfall] ${headlineOf(notice)}`,
    text: `${text}\n\n${new Date(at).toISOString()}, run ${run}\n`,
  };
}

function resolved(address: string): string {
  return resolveEnvReferences(address, process.env) as string;
}

/** A path may be a secret, too: whoever knows that of a chat's webhook may write there. */
function withoutUser(address: string): string {
  return /^[a-z]+:\/\/[^/?#]+/.exec(address.replace(/\/\/[^@/]*@/, '//'))?.[0] ?? address;
}
