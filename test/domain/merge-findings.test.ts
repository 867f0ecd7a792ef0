import { describe, expect, test } from 'vitest';
import { failed, passed, warned } from '../../src/domain/finding.ts';
import { mergeFindings } from '../../src/domain/merge-findings.ts';

const NAMES = Array.from({ length: 400 }, (_none, index) => `q${String(index).padStart(3, '0')}`);
const [Q0 = '', Q1 = ''] = NAMES;

describe('findings of one cause', () => {
  test('are told once, with three names and how many more', () => {
    const findings = NAMES.map((name) => warned(name, 'bios is assumed', 'Say how it boots.'));
    expect(mergeFindings(findings, NAMES)).toEqual([
      warned('q000, q001, q002 and 397 more (400)', 'bios is assumed', 'Say how it boots.'),
    ]);
  });

  test('are of one cause where only the name differs, and keep what follows it in the subject', () => {
    const findings = [Q0, Q1].map((name) => [
      failed(`${name}: virtual machine ${name}`, `${name} is there`, `Rename ${name}.`),
      failed(`${name} disk 0`, 'it has no size', 'Look at it.'),
    ]);
    expect(mergeFindings(findings.flat(), NAMES)).toEqual([
      failed('q000, q001: virtual machine MACHINE', 'MACHINE is there', 'Rename MACHINE.'),
      failed('q000, q001, disk 0', 'it has no size', 'Look at it.'),
    ]);
  });

  test('that differ in numbers are told one by one while they are few, then by the first', () => {
    const findings = NAMES.map((name, at) => failed(`${name}: 10.0.0.${at}`, `${at} has it`, 'Free it.'));
    expect(mergeFindings(findings.slice(0, 5), NAMES)).toEqual(findings.slice(0, 5));
    expect(mergeFindings(findings.slice(0, 6), NAMES)).toEqual([
      failed(
        'q000: 10.0.0.0, q001: 10.0.0.1, q002: 10.0.0.2 and 3 more (6)',
        'for example, 0 has it',
        'Free it.',
      ),
    ]);
  });
});

describe('findings of other causes', () => {
  test('stay apart: another level, another word, another remedy', () => {
    const findings = [
      failed(Q0, 'no subnet', 'Name one.'),
      warned(Q0, 'no subnet', 'Name one.'),
      failed(Q1, 'no group', 'Name one.'),
      failed(Q1, 'no subnet', 'Name another one.'),
    ];
    expect(mergeFindings(findings, NAMES)).toEqual(findings);
  });

  test('of no machine stay as they are, however alike', () => {
    const findings = [passed('bucket a', 'exists'), passed('bucket b', 'exists'), failed('q', 'x', 'y')];
    expect(mergeFindings(findings, NAMES)).toEqual(findings);
  });

  test("take the longest name: a machine whose name begins with another one's is itself", () => {
    const findings = [failed('web', 'no subnet', 'Name one.'), failed('web disk', 'no subnet', 'Name one.')];
    expect(mergeFindings(findings, ['web', 'web disk'])).toEqual([
      failed('web, web disk', 'no subnet', 'Name one.'),
    ]);
  });
});
