/** Will what the wave orders besides the move itself come to pass: its hooks, and its notices? */
import { type Environment, findUnset } from '../domain/env-reference.ts';
import { warned } from '../domain/finding.ts';
import type { JsonObject, JsonValue } from '../domain/json.ts';
import type { Finding, PlannedMachine } from '../domain/ports.ts';
import type { Hook, HookMoment, NoticeChannel, Wave } from '../domain/wave.ts';

export type WithHooks = {
  wave: Pick<Wave, 'notify'>;
  machines: readonly PlannedMachine[];
  /** Can the source turn its machines off and on? */
  isControlled: boolean;
  environment: Environment;
};

/** Those of a step that exists only where the source turns machines off. */
const OF_SHUTDOWN: ReadonlySet<HookMoment> = new Set(['before-shutdown', 'after-shutdown']);

/** Warnings: whoever runs the hook, or sends the notice, may have what this shell lacks. */
export function checkHooksAndNotices({ wave, machines, isControlled, environment }: WithHooks): Finding[] {
  return [
    ...machines.flatMap((planned) => [
      ...(isControlled ? [] : checkMoments(planned)),
      ...checkHookReferences(planned, environment),
    ]),
    ...wave.notify.flatMap((channel) => checkChannel(channel, environment)),
  ];
}

function checkMoments({ wave: { hooks }, machine }: PlannedMachine): Finding[] {
  const idle = new Set(hooks.map(({ at }) => at).filter((at) => OF_SHUTDOWN.has(at)));
  if (idle.size === 0) return [];
  const message = `its hooks ${[...idle].join(' and ')} never run: this source turns no machine off`;
  const remedy = 'Do by hand what they do, before and after you shut it down; or give them another moment.';
  return [warned(machine.name, message, remedy)];
}

function checkHookReferences({ wave: { hooks }, machine }: PlannedMachine, given: Environment): Finding[] {
  const unset = findUnset(hooks.map(referringPart), given);
  if (unset.length === 0) return [];
  const message = `its hooks refer to ${unset.join(', ')}, not set (or empty) here: they fail on every worker without`;
  return [warned(machine.name, message, setWhere(unset, 'each worker'))];
}

function checkChannel(channel: NoticeChannel, given: Environment): Finding[] {
  const unset = findUnset(channel.kind === 'webhook' ? channel.url : channel.smtp, given);
  if (unset.length === 0) return [];
  const what = channel.kind === 'webhook' ? 'a webhook' : 'the mail server';
  const message = `${what} is given by ${unset.join(', ')}, not set (or empty) here: nobody is told anything where \`landfall up\` lacks it`;
  return [warned('notify', message, setWhere(unset, '`landfall up`'))];
}

function referringPart(hook: Hook): JsonValue {
  if (hook.kind === 'command') return null;
  const { url, headers, body } = hook;
  return { url, headers, body } satisfies JsonObject;
}

function setWhere([first]: readonly string[], whom: string): string {
  return `See that ${whom} is started with it: \`export ${first}=…\` before.`;
}
