import { stripVTControlCharacters } from 'node:util';
import { expect, test } from 'vitest';
import { describePlan } from '../../src/cli/commands/plan.ts';
import { asLandfallError } from '../../src/domain/errors.ts';
import { failed, passed, warned } from '../../src/domain/finding.ts';
import type { Finding } from '../../src/domain/ports.ts';
import { acceptOwnLandings, type Plan, refuseFailedPlan } from '../../src/operations/plan.ts';
import { makeMachine, makeWave } from '../fakes/records.ts';

const NAMES = Array.from({ length: 400 }, (_none, index) => `q${index}`);

function plan(names: readonly string[], findingsOf: (name: string, index: number) => Finding[]): Plan {
  const wave = makeWave('big', names);
  const machines = wave.machines.map((planned) => ({ wave: planned, machine: makeMachine(planned.name) }));
  return { wave, machines, findings: names.flatMap(findingsOf), isControlled: false };
}

function show(planned: Plan, isVerbose = false): string[] {
  return describePlan(planned, isVerbose).map(stripVTControlCharacters);
}

const TROUBLED = plan(NAMES, (name, index) => [
  failed(`${name}: 10.0.${index}.4`, 'something has this address already', 'Name a free one.'),
  passed(name, 'bios, 1 disk'),
  warned(name, 'bios is assumed', 'Say it.'),
  failed(`${name} disk 0`, `${name} disk 0 has ${index} TiB; too much.`, 'Shrink it.'),
]);

test('of four hundred machines fits on a screen, what failed nearest to the prompt', () => {
  const lines = show(TROUBLED);
  expect(lines.length).toBeLessThan(40);
  expect(lines.slice(-8)).toEqual(
    [
      '✔ ok   400 checks passed (--verbose lists them)',
      '! warn q0, q1, q2 and 397 more (400): bios is assumed',
      '        Say it.',
      '✖ fail q0: 10.0.0.4, q1: 10.0.1.4, q2: 10.0.2.4 and 397 more (400): something has this address already',
      '        Name a free one.',
      '✖ fail q0 disk 0, q1 disk 0, q2 disk 0 and 397 more (400): for example, q0 disk 0 has 0 TiB; too much.',
      '        Shrink it.',
      '',
      'Not ready: 800 of 1600 checks failed.',
    ].slice(-8),
  );
});

test('lists every machine and every check with --verbose', () => {
  const lines = show(TROUBLED, true);
  expect(lines).toContain('✔ ok   q399: bios, 1 disk');
  expect(lines).toContain('✖ fail q399: 10.0.399.4: something has this address already');
  expect(lines.some((line) => line.startsWith('  q399 '))).toBe(true);
});

test('takes what the wave itself landed for what it is, and nothing else', () => {
  const planned = plan(['web', 'db'], (name) => [
    { ...failed(`${name}: vm`, 'it is there', 'Rename it.'), landedBy: name === 'web' ? 'run-1' : 'run-0' },
  ]);
  const [own, other] = acceptOwnLandings(planned, 'run-1').findings;
  expect(own).toMatchObject({ level: 'warn', message: "this is the wave's own landing (run run-1)" });
  expect(other).toBe(planned.findings[1]);
});

test('is refused by run in as few lines, with one full stop at the end of each sentence', () => {
  const { message } = refusal(TROUBLED);
  expect(message).toContain('800 checks failed:');
  expect(message.split('\n').length).toBeLessThan(10);
  expect(message).toContain('too much. Shrink it.');
  const [alone] = [
    plan(['web'], (name) => [failed(name, 'It ended.', 'Start it.'), failed(name, 'it lacks', 'Give it.')]),
  ];
  expect(refusal(alone as Plan).message).toMatch(
    /web: It ended\. Start it\.\n {2}web: it lacks\. Give it\.$/,
  );
});

function refusal(planned: Plan): Error {
  try {
    refuseFailedPlan(planned);
  } catch (error) {
    return asLandfallError(error);
  }
  throw new Error('it was not refused');
}
