/** What a checked wave file says of its machines, as the wave has it: defaults merged in, short forms written out. */
import type { z } from 'zod';
import type { JsonObject } from '../domain/json.ts';
import type {
  Hook,
  NoticeChannel,
  ProofPolicy,
  ServiceCheck,
  WaveGroup,
  WaveMachine,
} from '../domain/wave.ts';
import type { checkSchema, groupSchema, hookSchema, notifySchema } from './cutover-schema.ts';
import {
  DEFAULT_HOOK_SECONDS,
  DEFAULT_NOTICES,
  DEFAULT_PROOF,
  DEFAULT_SHUTDOWN,
  type WaveFile,
} from './wave-schema.ts';

type MachineInFile = WaveFile['machines'][number];
type ProofInFile = NonNullable<MachineInFile['proof']>;

export function readMachines(
  { defaults, groups = {}, machines }: WaveFile,
  options: readonly { from: JsonObject | null; to: JsonObject | null }[],
): WaveMachine[] {
  return machines.map((machine, index): WaveMachine => {
    const { name, except, export: mode, proof, shutdown, onFailure, hooks, after = [] } = machine;
    const group = machine.group ?? defaults?.group ?? null;
    const ofGroup = group === null ? [] : (groups[group]?.after ?? []);
    return {
      // Until its machines are known, an entry that selects several is called by its place in the file.
      ...(name === undefined
        ? { name: `machines[${index}]`, selectsMany: true, ...(except === undefined ? {} : { except }) }
        : { name }),
      from: options[index]?.from ?? {},
      to: options[index]?.to ?? {},
      export: mode ?? defaults?.export ?? 'in-place',
      proof: mergeProof(defaults?.proof, proof),
      group,
      after: [...new Set([...after, ...ofGroup])],
      shutdown: {
        graceSeconds: shutdown?.grace ?? defaults?.shutdown?.grace ?? DEFAULT_SHUTDOWN.graceSeconds,
        force: shutdown?.force ?? defaults?.shutdown?.force ?? DEFAULT_SHUTDOWN.force,
      },
      onFailure: onFailure ?? defaults?.onFailure ?? 'leave',
      hooks: (hooks ?? defaults?.hooks ?? []).map(readHook),
    };
  });
}

export function readGate(stopAfter: z.output<typeof groupSchema>['stopAfter']): WaveGroup['stopAfter'] {
  if (stopAfter === undefined) return null;
  return typeof stopAfter === 'number'
    ? { failures: stopAfter }
    : { percent: Number.parseInt(stopAfter, 10) };
}

/** One of its two forms: its schema saw to that. */
export function readNotice(notice: z.output<typeof notifySchema>): NoticeChannel {
  const { webhook, mail = [], smtp = '', from = '', on = DEFAULT_NOTICES } = notice;
  return webhook === undefined
    ? { kind: 'mail', smtp, from, to: mail, on }
    : { kind: 'webhook', url: webhook, on };
}

function mergeProof(defaults: ProofInFile | undefined, own: ProofInFile | undefined): ProofPolicy {
  return {
    expect: own?.expect ?? defaults?.expect ?? DEFAULT_PROOF.expect,
    refuse: own?.refuse ?? defaults?.refuse ?? DEFAULT_PROOF.refuse,
    deadlineSeconds: own?.deadline ?? defaults?.deadline ?? DEFAULT_PROOF.deadlineSeconds,
    checks: (own?.checks ?? defaults?.checks ?? []).map(readCheck),
  };
}

function readCheck({ tcp, http, status, command = [] }: z.output<typeof checkSchema>): ServiceCheck {
  if (http !== undefined) return { kind: 'http', url: http, status: status ?? null };
  if (tcp === undefined) return { kind: 'command', command };
  if (typeof tcp === 'number') return { kind: 'tcp', host: '{address}', port: tcp };
  const at = tcp.lastIndexOf(':');
  return { kind: 'tcp', host: tcp.slice(0, at).replace(/^\[|\]$/g, ''), port: Number(tcp.slice(at + 1)) };
}

function readHook(hook: z.output<typeof hookSchema>): Hook {
  const { at, command = [], http, timeout = DEFAULT_HOOK_SECONDS, onFailure = 'fail' } = hook;
  const common = { at, timeoutSeconds: timeout, onFailure };
  if (http === undefined) return { ...common, kind: 'command', command };
  const { method = 'POST', headers = {}, body = null } = hook;
  return { ...common, kind: 'http', url: http, method, headers, body };
}
