/** Hands one notice to one receiver. Its address is resolved here, and told to nobody. */
import { createTransport } from 'nodemailer';
import { hideEnvValues, resolveEnvReferences } from '../domain/env-reference.ts';
import type { NoticeChannel } from '../domain/wave.ts';
import { headlineOf, type Notice } from './notice.ts';

const WEBHOOK_TIMEOUT_MS = 30_000;
/**
 * Servers let strangers wait for their greeting, and look through a letter before they say that they took it. Whoever
 * leaves in the midst of that sends it again, and again: https://www.rfc-editor.org/rfc/rfc5321#section-4.5.3.2.6 wants
 * 10 minutes. Nobody else waits meanwhile.
 */
const CONNECTION_TIMEOUT_MS = 30_000;
const GREETING_TIMEOUT_MS = 60_000;
const MAIL_TIMEOUT_MS = 600_000;

/**
 * Resolves once the receiver has taken it, with those of its addresses that were refused. What it rejects with holds
 * nothing that a variable holds.
 */
export async function deliver(
  notice: Notice,
  channel: NoticeChannel,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const address = channel.kind === 'webhook' ? channel.url : channel.smtp;
  try {
    return await hand(notice, channel, signal);
  } catch (error) {
    signal.throwIfAborted();
    throw new Error(hideEnvValues(reasonOf(error as Error), address, process.env));
  }
}

async function hand(notice: Notice, channel: NoticeChannel, signal: AbortSignal): Promise<readonly string[]> {
  switch (channel.kind) {
    case 'webhook': {
      const within = AbortSignal.any([signal, AbortSignal.timeout(WEBHOOK_TIMEOUT_MS)]);
      return await post(notice, resolved(channel.url), within);
    }
    case 'mail': {
      const within = AbortSignal.any([signal, AbortSignal.timeout(MAIL_TIMEOUT_MS)]);
      return await mail(notice, { ...channel, smtp: resolved(channel.smtp) }, within);
    }
    default:
      return channel satisfies never;
  }
}

/** `fetch failed` says nothing: its cause does. */
function reasonOf({ cause, message }: Error): string {
  return cause instanceof Error && cause.message !== '' ? cause.message : message;
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
  const timeouts = {
    connectionTimeout: CONNECTION_TIMEOUT_MS,
    greetingTimeout: GREETING_TIMEOUT_MS,
    socketTimeout: MAIL_TIMEOUT_MS,
  };
  const transport = createTransport({ url: smtp, ...timeouts });
  try {
    signal.throwIfAborted();
    // An abort closes the connection: no letter is taken after all that is to be sent again.
    const letter = { from, to: [...to], ...letterOf(notice), signal };
    const { rejected } = await transport.sendMail(letter);
    return rejected.map(String);
  } finally {
    transport.close();
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
