/** Does what landed serve? Tried from the worker; what the wave calls `{address}` is the landing's own. */
import { connect } from 'node:net';
import { LandfallError } from '../domain/errors.ts';
import type { Landing } from '../domain/landing.ts';
import type { ServiceCheck } from '../domain/wave.ts';
import { callHttp } from './http-call.ts';
import { runOperatorCommand } from './operator-command.ts';
import type { StepInput } from './step-input.ts';
import { environmentOf, factsOf } from './told-facts.ts';

/** As the end of "tcp web01:443 …": "was refused"; null where it holds. */
export type CheckVerdict = { check: string; failure: string | null };

/** A service that takes longer for one answer serves nobody. */
const ANSWER_MS = 10_000;
/** Commands may try a thing or two by themselves. */
const COMMAND_MS = 60_000;
const ADDRESS = '{address}';

/** Each of them once, all at the same time. Throws `check-failed` where one can never hold. */
export async function tryChecks(input: StepInput, landing: Landing): Promise<CheckVerdict[]> {
  const { checks } = input.record.plan.proof;
  const ready = checks.map((check) => withAddress(check, landing, input));
  const tried = await Promise.allSettled(
    ready.map(async (check) => ({ check: nameOf(check), failure: await failureOf(check, input, landing) })),
  );
  // Only now: a command of theirs must not live on beside the next attempt.
  return tried.map((each) => {
    if (each.status === 'fulfilled') return each.value;
    throw each.reason;
  });
}

async function failureOf(check: ServiceCheck, input: StepInput, landing: Landing): Promise<string | null> {
  const { signal } = input.context;
  switch (check.kind) {
    case 'tcp':
      return await connectionFailure(check, signal);
    case 'http': {
      const call = { method: 'GET', url: check.url, wantsText: false, timeoutMs: ANSWER_MS } as const;
      const answer = await callHttp({ ...call, signal });
      if (answer.kind === 'unanswered') return answer.why;
      const { status } = answer;
      const isWell = check.status === null ? status >= 200 && status < 400 : status === check.status;
      return isWell ? null : `answered with status ${status}`;
    }
    case 'command':
      return await commandFailure(check.command, input, landing);
    default:
      return check satisfies never;
  }
}

async function connectionFailure(
  { host, port }: { host: string; port: number },
  signal: AbortSignal,
): Promise<string | null> {
  const { promise, resolve } = Promise.withResolvers<string | null>();
  const socket = connect({ host, port });
  socket.setTimeout(ANSWER_MS, () => resolve(`did not answer within ${ANSWER_MS / 1000} s`));
  socket.once('connect', () => resolve(null));
  socket.on('error', (error) => resolve(`could not be reached: ${messageOf(error)}`));
  const stop = (): void => resolve('was not waited for');
  signal.addEventListener('abort', stop);
  try {
    if (signal.aborted) stop();
    return await promise;
  } finally {
    signal.removeEventListener('abort', stop);
    socket.destroy();
    signal.throwIfAborted();
  }
}

async function commandFailure(
  command: readonly string[],
  input: StepInput,
  landing: Landing,
): Promise<string | null> {
  const facts = { ...factsOf(input), landing: landing.id, address: landing.address ?? null };
  const { kind, exitCode, what, output } = await runOperatorCommand({
    command,
    environment: environmentOf(facts),
    folder: input.waveFolder,
    timeoutMs: COMMAND_MS,
    signal: input.context.signal,
  });
  if (kind === 'missing') throw neverHolds(input, command.join(' '), what);
  if (exitCode === 0) return null;
  const said = output.at(-1);
  return said === undefined ? what : `${what}: ${said}`;
}

function withAddress(check: ServiceCheck, { address = null }: Landing, input: StepInput): ServiceCheck {
  const put = (text: string, write: (address: string) => string = String): string => {
    if (!text.includes(ADDRESS)) return text;
    if (address !== null) return text.replaceAll(ADDRESS, write(address));
    const what = 'needs the address of the landing, which its target does not tell: write it into the wave';
    throw neverHolds(input, nameOf(check), what);
  };
  switch (check.kind) {
    case 'tcp':
      return { ...check, host: put(check.host) };
    case 'http':
      return { ...check, url: put(check.url, (text) => (text.includes(':') ? `[${text}]` : text)) };
    case 'command':
      return { ...check, command: check.command.map((word) => put(word)) };
    default:
      return check satisfies never;
  }
}

function nameOf(check: ServiceCheck): string {
  switch (check.kind) {
    case 'tcp':
      return `tcp ${check.host}:${check.port}`;
    case 'http':
      return check.url;
    case 'command':
      return check.command.join(' ');
    default:
      return check satisfies never;
  }
}

function neverHolds({ record }: StepInput, check: string, what: string): LandfallError {
  return new LandfallError({
    code: 'check-failed',
    message: `The check ${check} of ${record.machine.name} ${what}.`,
    context: { machine: record.machine.name, check },
  });
}

/** Names that resolve to several addresses fail with one error for each. */
function messageOf(error: Error): string {
  return error instanceof AggregateError ? error.errors.map(String).join('; ') : error.message;
}
