/** The errors that end a boot test, with what an operator needs: what was seen, where the evidence is, what to do. */
import { type ErrorContext, LandfallError } from '../domain/errors.ts';
import type { LandingCheck, Observation } from '../domain/landing.ts';
import type { MachineRecord } from '../domain/machine-record.ts';
import { changeGuest, changeWave, landAgain, lookAgain, suspectFirmware } from './boot-remedies.ts';
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
    remedies: [
      failure.remedy,
      suspectFirmware(look.record, look.lines),
      changeGuest(look.record),
      changeWave(look.record),
    ],
  });
}

/** It ended before it was proven. */
export function landingEnded(look: Look): LandfallError {
  const isGone = look.observation.state === 'gone';
  return verdict(look, {
    code: 'boot-failed',
    what: isGone ? 'is gone from the target' : 'stopped before it was proven',
    saw: null,
    remedies: isGone
      ? [
          'Somebody or something removed it there; find out who in the account’s audit log.',
          `Then ${landAgain(look.record)}`,
        ]
      : [
          'The guest powered itself off, or somebody or something stopped it at the target: the end of its console tells which.',
          `Stopped from outside: ${landAgain(look.record)}`,
          changeGuest(look.record),
        ],
  });
}

export function bootTimedOut(look: Look, deadlineSeconds: number): LandfallError {
  return verdict(look, {
    code: 'boot-timeout',
    what: `did not prove itself within ${deadlineSeconds} s: ${listMissing(look)}`,
    saw: null,
    remedies: [
      suspectFirmware(look.record, look.lines),
      lookAgain(look.record),
      changeGuest(look.record, ' (an empty console needs the kernel parameter console=ttyS0)'),
      changeWave(look.record),
    ],
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
  told: {
    code: 'boot-failed' | 'boot-timeout';
    what: string;
    saw: string | null;
    /** Whole sentences; empty ones do not apply. */
    remedies: readonly string[];
  },
): LandfallError {
  const { record, lines, consoleAt, screenshotAt } = look;
  const { name } = record.machine;
  const landing = landingOf(record);
  const tail = consoleTail(lines);
  const text = [
    // One line: `status` shows the first.
    [`${name} (${landing.id}) ${told.what}.`, ...told.remedies.filter(Boolean)].join(' '),
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
