/**
 * A request to a server of the operator's, with an end in sight whatever the server does. It goes nowhere else: followed, a
 * redirection to a page for signing in has made a GET of a POST and looked like success, and headers with tokens in them
 * come to whoever is named.
 */

export type HttpCall = {
  method: string;
  url: string;
  headers?: Readonly<Record<string, string>>;
  body?: string | null;
  /** Else its status is all that is waited for: some servers go on talking. */
  wantsText: boolean;
  timeoutMs: number;
  signal: AbortSignal;
};

export type HttpAnswer =
  /** `leadsTo`: where it sends its callers instead. */
  | { kind: 'answered'; status: number; text: string; leadsTo: string | null }
  /** `why`: as the end of "it …". */
  | { kind: 'unanswered'; why: string };

/** Enough to say what is wrong. */
const MAX_TEXT_BYTES = 16 * 1024;

/** Throws only the signal's reason. */
export async function callHttp(call: HttpCall): Promise<HttpAnswer> {
  const { method, url, headers = {}, body = null, wantsText, timeoutMs, signal } = call;
  const timeout = AbortSignal.timeout(timeoutMs);
  try {
    const response = await fetch(url, {
      method,
      headers,
      body,
      redirect: 'manual',
      signal: AbortSignal.any([signal, timeout]),
    });
    const { status } = response;
    const location = status >= 300 && status < 400 ? response.headers.get('location') : null;
    const leadsTo = location === null ? null : (URL.parse(location, url)?.href ?? location);
    if (wantsText) return { kind: 'answered', status, text: await readStart(response), leadsTo };
    await response.body?.cancel();
    return { kind: 'answered', status, text: '', leadsTo };
  } catch (error) {
    signal.throwIfAborted();
    if (timeout.aborted) return { kind: 'unanswered', why: `did not answer within ${timeoutMs / 1000} s` };
    return { kind: 'unanswered', why: `could not be asked: ${reasonOf(error)}` };
  }
}

async function readStart({ body }: Response): Promise<string> {
  if (body === null) return '';
  const pieces: Uint8Array[] = [];
  let length = 0;
  // Leaving the loop gives the connection up.
  for await (const piece of body) {
    pieces.push(piece);
    length += piece.length;
    if (length >= MAX_TEXT_BYTES) break;
  }
  return Buffer.concat(pieces).subarray(0, MAX_TEXT_BYTES).toString('utf8');
}

/** `fetch failed` says nothing; its cause does. */
function reasonOf(error: unknown): string {
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
  if (cause instanceof AggregateError) return cause.errors.map(reasonOf).join('; ');
  return cause instanceof Error ? cause.message : String(cause);
}
