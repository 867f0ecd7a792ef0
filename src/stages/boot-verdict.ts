/** The errors that end a boot test, with what an operator needs: what was seen, where the evidence is, what to do. */
import { type ErrorContext, LandfallError } from '../domain/errors.ts';
import type { LandingCheck, Observation } from '../domain/landing.ts';
import type { MachineRecord } from '../domain/machine-record.ts';
import type { FailureSeen } from './console-failures.ts';
import { consoleTail } from './console-text.ts';
import type { Sighting } from './sighting.ts';
import { landingOf } from './step-input.ts';

export type Look = {
  record: MachineRecord;
  observation: Observation;
  /** The console, cleaned. */
  lines: readonly string[];
  sighting: Sighting;
  /** Where an operator finds them; null where there is none. */
  consoleAt: string | null;
  screenshotAt: string | null;
};

export function bootFailed(look: Look, failure: FailureSeen): LandfallError {
  return verdict(look, {
    code: 'boot-failed',
    what: `did not boot: ${failure.explanation}`,
    saw: failure.line,
    remedy: failure.remedy,
  });
}

/** It ended before it was proven. */
export function landingEnded(look: Look): LandfallError {
  const isGone = look.observation.state === 'gone';
  return verdict(look, {
    code: 'boot-failed',
    what: isGone ? 'is gone from the target' : 'stopped before it was proven',
    saw: null,
    remedy: isGone
      ? 'Somebody or something removed it there; find out who in the account’s audit log.'
      : 'The guest powered itself off, or the target stopped it: the end of its console tells which.',
  });
}

export function bootTimedOut(look: Look, deadlineSeconds: number): LandfallError {
  return verdict(look, {
    code: 'boot-timeout',
    what: `did not prove itself within ${deadlineSeconds} s: ${listMissing(look)}`,
    saw: null,
    remedy:
      'If it only needs longer, raise proof.deadline. If its console stays empty, let the guest print to a serial console (kernel parameter console=ttyS0). Otherwise its console tells where it stands.',
  });
}

/** What is not proven yet, for a note or an error: `waiting for /login:/ on its console and for the check "system"`. */
export function listMissing({
  record,
  sighting,
  observation,
}: Pick<Look, 'record' | 'sighting' | 'observation'>): string {
  const patterns = record.plan.proof.expect
    .filter((_, index) => (sighting.lines[index] ?? null) === null)
    .map((source) => `/${source}/ on its console`);
  const checks = observation.checks.filter(({ state }) => state !== 'ok').map(nameCheck);
  const state = observation.state === 'running' ? [] : [`the state "running" (it is ${observation.state})`];
  return `waiting for ${[...state, ...patterns, ...checks].join(', ')}`;
}

function nameCheck({ name, state, detail }: LandingCheck): string {
  return `check "${name}" (${state}${detail === '' ? '' : `: ${detail}`})`;
}

function verdict(
  look: Look,
  told: { code: 'boot-failed' | 'boot-timeout'; what: string; saw: string | null; remedy: string },
): LandfallError {
  const { record, lines, consoleAt, screenshotAt } = look;
  const { name } = record.machine;
  const landing = landingOf(record);
  const tail = consoleTail(lines);
  const text = [
    `${name} (${landing.id}) ${told.what}. ${told.remedy} Then \`landfall discard ${record.run} ${name}\` and \`landfall retry ${record.run} ${name}\`.`,
    ...(told.saw === null ? [] : [`Its console says: ${told.saw}`]),
    tail.length === 0 ? 'Its console is empty.' : 'The end of its console:',
    ...tail.map((line) => `  ${line}`),
    ...(consoleAt === null ? [] : [`Console: ${consoleAt}`]),
    ...(screenshotAt === null ? [] : [`Screenshot: ${screenshotAt}`]),
  ];
  const context: ErrorContext = {
    landing: landing.id,
    line: told.saw,
    console: consoleAt,
    screenshot: screenshotAt,
  };
  return new LandfallError({ code: told.code, message: text.join('\n'), context });
}
