import { expect, test } from 'vitest';
import { nameOfPerson, wantedClaims } from '../../../src/dashboard/access/oidc-claims.ts';
import type { OidcSettings } from '../../../src/dashboard/access/settings.ts';

const byEmail = {
  issuer: new URL('https://sso.acme.example'),
  nameClaim: 'email',
  roleClaim: 'groups',
} as unknown as OidcSettings;
const email = 'ann@acme.example';

test.each([true, 'true'])('an address is a name where it is verified: %j', (verified) => {
  expect(nameOfPerson({ email, email_verified: verified }, byEmail)).toBe(email);
});

test.each([false, 'false', undefined, 1])('and not where the provider says %j', (verified) => {
  expect(() => nameOfPerson({ email, email_verified: verified }, byEmail)).toThrow(/email is not verified/);
});

test('whether it is verified is asked for, too', () => {
  expect(wantedClaims(byEmail)).toEqual(['email', 'groups', 'email_verified']);
  expect(wantedClaims({ nameClaim: 'sub', roleClaim: 'groups' })).toEqual(['sub', 'groups']);
});
