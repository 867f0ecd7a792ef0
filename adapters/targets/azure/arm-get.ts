/**
 * Reads of Resource Manager that are in none of the SDK's clients which Landfall needs otherwise. For pre-flight: sent
 * once, since whoever asks sees the answer.
 */
import { RestError } from '@azure/arm-compute';
import { LandfallError } from '../../../src/domain/errors.ts';
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
    address = page.nextLink === undefined ? undefined : ownAddress(azure, get.call, page.nextLink);
  }
  return values;
}

/** The token goes nowhere but to where it was meant for. */
function ownAddress({ endpoint }: Azure, { doing }: AzureCall, link: string): string {
  const { origin } = new URL(endpoint);
  const found = URL.parse(link, endpoint);
  if (found?.origin === origin) return link;
  throw new LandfallError({
    code: 'target-refused',
    message: `${doing} failed: the list goes on at ${found?.origin ?? 'no address'} instead of ${origin}, which gets no token. Check \`endpoint\` of the target.`,
  });
}

async function send({ endpoint, credential, scopes }: Azure, { path, signal }: ArmGet): Promise<unknown> {
  const token = await credential.getToken(scopes, { abortSignal: signal });
  const answer = await fetch(new URL(path, endpoint), {
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
