import { expect, test } from 'vitest';
import type { Preview } from '../../../src/dashboard/api/action.ts';
import { readLocalMoment, whyNotYet, writeLocalMoment } from '../../../src/dashboard/page/view/deed-form.ts';
import { NOW } from './fixture-run.ts';

const preview: Preview = { consequences: [], machines: [], refusal: null, isReversible: true };
const grave = { ...preview, isReversible: false };

test('nothing is sent before what it would do was told, nor what is refused', () => {
  const form = { reason: 'because', typedName: '' };
  expect(whyNotYet(form, { preview: null, run: 'w-1' })).not.toBeNull();
  expect(whyNotYet(form, { preview: { ...preview, refusal: 'It is over.' }, run: 'w-1' })).toBe(
    'It is over.',
  );
  expect(whyNotYet(form, { preview, run: 'w-1' })).toBeNull();
});

test('a reason is wanted, and one of spaces is none', () => {
  expect(whyNotYet({ reason: '  ', typedName: '' }, { preview, run: 'w-1' })).toContain('Say why');
  expect(whyNotYet({ reason: 'x'.repeat(501), typedName: '' }, { preview, run: 'w-1' })).toContain(
    'by 1 char',
  );
});

test('what cannot be taken back wants the name of the run, exactly', () => {
  const reason = 'because';
  for (const typedName of ['', 'w', 'W-1', 'w-11'])
    expect(whyNotYet({ reason, typedName }, { preview: grave, run: 'w-1' })).toContain('type w-1');
  expect(whyNotYet({ reason, typedName: ' w-1 ' }, { preview: grave, run: 'w-1' })).toBeNull();
});

test('a moment goes into a field and comes back', () => {
  expect(readLocalMoment(writeLocalMoment(NOW))).toBe(NOW);
  expect(readLocalMoment('')).toBeNull();
  expect(readLocalMoment('soon')).toBeNull();
});
