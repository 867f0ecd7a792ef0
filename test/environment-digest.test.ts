import { describe, expect, test } from 'vitest';
import { digestEnvironment, listDifferences } from '../src/environment-digest.ts';

const SHELL = { AWS_ACCESS_KEY_ID: 'AKIAONE', AWS_REGION: '', SUBNET: 'subnet-1', PATH: '/bin' };

describe('what is remembered of an environment', () => {
  test('shows no difference from itself, and holds no value', () => {
    const digest = digestEnvironment(SHELL);
    expect(listDifferences(digest, SHELL, ['SUBNET', 'NOT_SET'])).toEqual([]);
    for (const value of ['AKIAONE', 'subnet-1', '/bin']) expect(JSON.stringify(digest)).not.toContain(value);
  });

  test('is salted: the same value looks different each time', () => {
    const [first, second] = [digestEnvironment(SHELL), digestEnvironment(SHELL)];
    expect(first.variables.AWS_ACCESS_KEY_ID).not.toBe(second.variables.AWS_ACCESS_KEY_ID);
  });

  test.each([
    ['another value', { ...SHELL, AWS_ACCESS_KEY_ID: 'AKIATWO' }, ['AWS_ACCESS_KEY_ID']],
    ['a variable that is gone', { ...SHELL, AWS_ACCESS_KEY_ID: ' ' }, ['AWS_ACCESS_KEY_ID']],
    ['a new variable', { ...SHELL, AWS_SESSION_TOKEN: 'x' }, ['AWS_SESSION_TOKEN']],
    ['an identity of Azure', { ...SHELL, IDENTITY_ENDPOINT: 'http://x' }, ['IDENTITY_ENDPOINT']],
    ['a certificate to trust', { ...SHELL, NODE_EXTRA_CA_CERTS: '/x.pem' }, ['NODE_EXTRA_CA_CERTS']],
    ['a variable that the wave names', { ...SHELL, SUBNET: 'subnet-2' }, ['SUBNET']],
    ['a variable of no concern', { ...SHELL, PATH: '/usr/bin' }, []],
  ])('tells %s by its name', (_what, now, names) => {
    expect(listDifferences(digestEnvironment(SHELL), now, ['SUBNET'])).toEqual(names);
  });
});
