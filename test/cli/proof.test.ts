import { expect, test } from 'vitest';
import { describeStanding } from '../../src/cli/commands/proof.ts';
import { describeDiscarded } from '../../src/cli/follow-to-end.ts';
import { nothingLeft } from '../../src/cli/removals.ts';
import { LandfallError, saveError } from '../../src/domain/errors.ts';
import { makeRecords, makeRun, makeWave } from '../fakes/records.ts';

const NAMES = Array.from({ length: 12 }, (_none, index) => `m${index}`);
const RECORDS = makeRecords(makeRun('r', makeWave('w', NAMES)));
const [RECORD] = RECORDS as [(typeof RECORDS)[number]];

test('why a machine has no proof: where it failed, with the cause', () => {
  const error = saveError(new LandfallError({ code: 'boot-failed', message: 'It panicked. Look.' }));
  const [step] = Object.entries(RECORD.steps).filter(([, { stage }]) => stage === 'validate');
  const [key, validate] = step ?? ['validate', { stage: 'validate' }];
  const steps = { [key]: { ...validate, state: 'failed', error } } as unknown as typeof RECORD.steps;
  expect(describeStanding({ ...RECORD, status: 'failed', steps, error })).toBe(
    'it failed at validate (boot-failed): It panicked. Look.',
  );
  expect(describeStanding({ ...RECORD, status: 'moving' })).toBe('it is moving.');
});

test('that nothing is left does not speak of what landed', () => {
  expect(nothingLeft(2)).toBe('Nothing is left. Landed machines are kept: 2.');
  expect(nothingLeft(0)).toBe('Nothing is left.');
});

test('discarded machines are named, a long list cut', () => {
  expect(describeDiscarded(RECORDS.slice(0, 2))).toBe('· 2 discarded: m0, m1');
  expect(describeDiscarded(RECORDS)).toBe(
    '· 12 discarded: m0, m1, m2, m3, m4, m5, m6, m7, m8, m9 and 2 more',
  );
});
