/**
 * The operator's own doings at the moments of a cutover. They run in the order of the wave, and how many of a moment are
 * done is kept in its checkpoint, written after each: so a repeat goes on with the one that was under way, and only that
 * one is ever done twice.
 */
import { hideEnvValues, resolveEnvReferences } from '../domain/env-reference.ts';
import { asLandfallError, LandfallError } from '../domain/errors.ts';
import type { JsonObject } from '../domain/json.ts';
import type { StepContext } from '../domain/ports.ts';
import { HOOK_MOMENTS, type Hook, type HookMoment } from '../domain/wave.ts';
import { consoleTail, readConsole } from './console-text.ts';
import { callHttp } from './http-call.ts';
import { runOperatorCommand } from './operator-command.ts';
import type { StepInput } from './step-input.ts';
import { environmentOf, factsOf, fillIn } from './told-facts.ts';

type CommandHook = Extract<Hook, { kind: 'command' }>;
type ResolvedCall = { url: string; headers: Record<string, string>; body: string | null };
type HttpHook = Extract<Hook, { kind: 'http' }>;

type HookEnd = {
  isWell: boolean;
  /** May it succeed when it is done again? */
  isRetryable: boolean;
  /** As the end of "the hook …". */
  what: string;
  /** The last lines of what it said. */
  output: readonly string[];
};

const JSON_CONTENT = { 'content-type': 'application/json' };
/** So many lines of what a hook said stand in the message; events have more. */
const LINES_IN_MESSAGES = 3;
/** Answers that ask to come again: https://www.rfc-editor.org/rfc/rfc9110#section-15.5 and 6585. */
const COME_AGAIN = new Set([408, 425, 429]);

/** Throws `hook-failed` where one fails that must not. */
export async function runHooks(input: StepInput, at: HookMoment): Promise<void> {
  const hooks = input.record.plan.hooks.filter((hook) => hook.at === at);
  if (hooks.length === 0) return;
  const { checkpoints } = input.context;
  const done = countOf(await checkpoints.get(keyOf(at)));
  for (const [index, hook] of hooks.entries()) {
    if (index < done) continue;
    await runHook(input, hook);
    await checkpoints.set(keyOf(at), { done: index + 1 });
  }
}

/** The machine begins anew: all its moments come again. */
export async function forgetHooks({ checkpoints }: StepContext): Promise<void> {
  await checkpoints.delete(...HOOK_MOMENTS.map(keyOf));
}

async function runHook(input: StepInput, hook: Hook): Promise<void> {
  const { context } = input;
  const name = nameOf(hook);
  context.report({ doneBytes: 0, totalBytes: 0, note: `hook ${hook.at}` });
  const startedAt = context.clock.monotonicMs();
  const end = await endOf(input, hook);
  const seconds = ((context.clock.monotonicMs() - startedAt) / 1000).toFixed(1);
  const fields: JsonObject = { hook: name, seconds: Number(seconds), output: end.output.join('\n') };
  const { machine } = context;
  if (end.isWell) {
    context.log('info', `Hook ${hook.at} of ${machine} (${name}) ${end.what} after ${seconds} s.`, fields);
    return;
  }
  const error = hookFailed(input, { hook, end });
  if (hook.onFailure === 'fail') {
    context.log('error', error.message, fields);
    throw error;
  }
  context.log('warn', `${error.message} The wave lets ${machine} go on.`, fields);
}

async function endOf(input: StepInput, hook: Hook): Promise<HookEnd> {
  try {
    return hook.kind === 'command' ? await runCommand(input, hook) : await callServer(input, hook);
  } catch (error) {
    input.context.signal.throwIfAborted();
    // A variable that is not set here, above all.
    const { message, retryable } = asLandfallError(error);
    return { isWell: false, isRetryable: retryable, what: `could not be run: ${message}`, output: [] };
  }
}

async function runCommand(input: StepInput, hook: CommandHook): Promise<HookEnd> {
  const { kind, exitCode, what, output } = await runOperatorCommand({
    command: hook.command,
    environment: { ...environmentOf(factsOf(input)), LANDFALL_MOMENT: hook.at },
    folder: input.waveFolder,
    timeoutMs: hook.timeoutSeconds * 1000,
    signal: input.context.signal,
  });
  return { isWell: exitCode === 0, isRetryable: kind !== 'missing', what, output };
}

async function callServer(input: StepInput, hook: HttpHook): Promise<HookEnd> {
  const facts = factsOf(input);
  const { method, headers, body } = hook;
  const takesBody = method !== 'GET' && method !== 'HEAD';
  // Before facts come into it: what a machine is called may look like a reference, and is none of the wave's.
  const own = resolveEnvReferences({ url: hook.url, headers, body }, process.env) as ResolvedCall;
  // Who gives no body gets the facts told.
  const told = own.body === null ? JSON.stringify({ moment: hook.at, ...facts }) : null;
  const answer = await callHttp({
    method,
    url: fillIn(own.url, facts, encodeURIComponent),
    headers: { ...(takesBody && told !== null ? JSON_CONTENT : {}), ...own.headers },
    body: takesBody ? (told ?? fillIn(own.body ?? '', facts, String)) : null,
    wantsText: true,
    timeoutMs: hook.timeoutSeconds * 1000,
    signal: input.context.signal,
  });
  if (answer.kind === 'unanswered') {
    return { isWell: false, isRetryable: true, what: withoutSecrets(answer.why, hook), output: [] };
  }
  const { status, text, leadsTo } = answer;
  const elsewhere = leadsTo === null ? '' : withoutSecrets(`, which leads to ${leadsTo}`, hook);
  return {
    isWell: status >= 200 && status < 300,
    isRetryable: status >= 500 || COME_AGAIN.has(status),
    what: `was answered with status ${status}${elsewhere}`,
    output: consoleTail(readConsole(withoutSecrets(text, hook))),
  };
}

/** Servers like to say what they were asked. */
function withoutSecrets(text: string, { url, headers, body }: HttpHook): string {
  return hideEnvValues(text, { url, headers, body }, process.env);
}

/** As the wave has it, so that no variable's value gets into events. */
function nameOf(hook: Hook): string {
  return hook.kind === 'command' ? hook.command.join(' ') : `${hook.method} ${hook.url}`;
}

function hookFailed({ record }: StepInput, { hook, end }: { hook: Hook; end: HookEnd }): LandfallError {
  const { run, machine } = record;
  const said = end.output.slice(-LINES_IN_MESSAGES).join(' | ');
  return new LandfallError({
    code: 'hook-failed',
    message: `The hook ${hook.at} of ${machine.name} (${nameOf(hook)}) ${end.what}${said === '' ? '' : `: ${said}`}. Mend what it needs where the worker runs, then \`landfall retry ${run} ${machine.name}\` does it again; \`onFailure: warn\` lets machines go on without it.`,
    retryable: end.isRetryable,
    context: { machine: machine.name, at: hook.at, hook: nameOf(hook) },
  });
}

function keyOf(at: HookMoment): string {
  return `hooks/${at}`;
}

function countOf(saved: unknown): number {
  const isCount =
    typeof saved === 'object' && saved !== null && 'done' in saved && typeof saved.done === 'number';
  return isCount ? (saved.done as number) : 0;
}
