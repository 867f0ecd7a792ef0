/**
 * Reads of Resource Manager that are in none of the SDK's clients which Landfall needs otherwise. For pre-flight: sent
 * once, since whoever asks sees the answer.
 */
import { RestError } from '@azure/arm-compute';
import type { Azure } from './clients.ts';
import { type AzureCall, ask, askIfNamed } from './errors.ts';

const TIMEOUT_MS = 60_000;

type ArmGet = { call: AzureCall /** With its `api-version`. */; path: string; signal: AbortSignal };

/** null where there is no such thing. */
export function findArm(azure: Azure, get: ArmGet): Promise<unknown> {
  return askIfNamed(get.call, () => send(azure, get));
}

/** All pages of a list. */
export async function listArm(azure: Azure, get: ArmGet): Promise<unknown[]> {
  const values: unknown[] = [];
  let address: string | undefined = get.path;
  while (address !== undefined) {
    const path: string = address;
    const page = (await ask(get.call, () => send(azure, { ...get, path }))) as {
      value?: unknown[];
      nextLink?: string;
    };
    values.push(...(page.value ?? []));
    address = page.nextLink;
  }
  return values;
}

async function send({ endpoint, credential, scopes }: Azure, { path, signal }: ArmGet): Promise<unknown> {
  const url = new URL(path, endpoint);
  // A link to the next page may name any host: the token is for this one.
  if (url.origin !== new URL(endpoint).origin)
    throw new RestError(`Azure named another host to go on at: ${url.origin}`, { code: 'InvalidNextLink' });
  const token = await credential.getToken(scopes, { abortSignal: signal });
  const answer = await fetch(url, {
    headers: { authorization: `Bearer ${token?.token}`, accept: 'application/json' },
    signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]),
  }).catch((error: Error) => {
    signal.throwIfAborted();
    if (error.name === 'TimeoutError')
      throw new RestError(`no answer came within ${TIMEOUT_MS} ms`, { code: 'ETIMEDOUT' });
    // What failed is in its cause; by itself it says "fetch failed".
    throw error.cause ?? error;
  });
  const text = await answer.text();
  const body = parse(text) as { error?: { code?: string; message?: string } } | null;
  if (answer.ok) return body;
  const { code, message = text } = body?.error ?? {};
  throw new RestError(message, { statusCode: answer.status, ...(code === undefined ? {} : { code }) });
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
