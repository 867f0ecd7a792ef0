/** A request to a server of the operator's, with an end in sight whatever the server does. */

export type HttpCall = {
  method: string;
  url: string;
  headers?: Readonly<Record<string, string>>;
  body?: string | null;
  /** A check wants the answer itself, a hook what it leads to. */
  redirect: 'follow' | 'manual';
  timeoutMs: number;
  signal: AbortSignal;
};

export type HttpAnswer =
  | { kind: 'answered'; status: number; text: string }
  /** `why`: as the end of "it …". */
  | { kind: 'unanswered'; why: string };

/** Enough to say what is wrong. */
const MAX_TEXT_BYTES = 16 * 1024;

/** Throws only the signal's reason. */
export async function callHttp(call: HttpCall): Promise<HttpAnswer> {
  const { method, url, headers = {}, body = null, redirect, timeoutMs, signal } = call;
  const timeout = AbortSignal.timeout(timeoutMs);
  try {
    const response = await fetch(url, {
      method,
      headers,
      body,
      redirect,
      signal: AbortSignal.any([signal, timeout]),
    });
    return { kind: 'answered', status: response.status, text: await readStart(response) };
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
