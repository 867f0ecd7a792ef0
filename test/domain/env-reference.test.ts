/* biome-ignore-all lint/suspicious/noTemplateCurlyInString: the syntax of references */
import { expect, test } from 'vitest';
import {
  findBadEnvReference,
  listEnvReferences,
  resolveEnvReferences,
} from '../../src/domain/env-reference.ts';
import { LandfallError } from '../../src/domain/errors.ts';

test('references are replaced wherever texts are, and keys and other values stay', () => {
  const value = {
    url: 'https://${env:USER}@${env:HOST}/',
    list: ['${env:USER}', 1, null, true],
    '${env:USER}': {},
  };
  expect(resolveEnvReferences(value, { USER: 'ann', HOST: 'esx' })).toEqual({
    url: 'https://ann@esx/',
    list: ['ann', 1, null, true],
    '${env:USER}': {},
  });
});

test('what a variable holds is never looked at again', () => {
  expect(resolveEnvReferences('${env:A}', { A: '${env:B} $& $1', B: 'x' })).toBe('${env:B} $& $1');
});

test('all variables that are not set, or empty, are named, and what the others hold is not', () => {
  const resolve = () => resolveEnvReferences(['${env:A}', '${env:B}', '${env:C}'], { B: '', C: 'secret' });
  expect(resolve).toThrow(LandfallError);
  expect(resolve).toThrow(/environment variables A, B, which are not set/);
  expect(resolve).not.toThrow(/secret/);
});

test('a name that every object has is no variable', () => {
  expect(() => resolveEnvReferences('${env:constructor}', {})).toThrow(/constructor, which is not set/);
});

test('names are listed once, in order', () => {
  expect(listEnvReferences({ a: '${env:B}${env:A}', b: ['${env:B}'], c: 'plain $HOME' })).toEqual(['B', 'A']);
});

test('a reference that no variable can have is found', () => {
  expect(findBadEnvReference('${env:GOOD} ${env:not-good}')).toBe('${env:not-good}');
  expect(findBadEnvReference('${env:}')).toBe('${env:}');
  expect(findBadEnvReference('${env:GOOD_1}')).toBeNull();
});
