/** Who somebody is, and what they may, by the claims of their provider. */
import { LandfallError } from '../../domain/errors.ts';
import type { Role } from '../api/session.ts';
import { oneLine } from './one-line.ts';
import type { OidcSettings } from './settings.ts';
import { highestRole } from './user.ts';

/** https://openid.net/specs/openid-connect-core-1_0.html#StandardClaims */
const EMAIL = 'email';
const VERIFIED = 'email_verified';

export type Claims = Readonly<Record<string, unknown>>;

const EVERYBODY = '*';
const MAX_NAME_CHARS = 100;

/** Throws `target-refused` where they have no such claim: the audit trail must name whoever acts. */
export function nameOfPerson(claims: Claims, { nameClaim, issuer }: OidcSettings): string {
  const told = claimAt(claims, nameClaim);
  const name = typeof told === 'string' ? oneLine(told, MAX_NAME_CHARS) : '';
  // An address that nobody confirmed may be somebody else's. Some providers say it as text.
  const isForeign = nameClaim === EMAIL && claims[VERIFIED] !== true && claims[VERIFIED] !== 'true';
  if (name !== '' && !isForeign) return name;
  throw new LandfallError({
    code: 'target-refused',
    message: `${issuer.href} does not say who logged in: the claim ${nameClaim} is ${isForeign ? 'not verified' : 'missing'}. Let it tell that claim, or name another in LANDFALL_OIDC_NAME_CLAIM (\`sub\` is always there).`,
  });
}

/** What must be known of somebody; the names of claims within claims have dots. */
export function wantedClaims({
  nameClaim,
  roleClaim,
}: Pick<OidcSettings, 'nameClaim' | 'roleClaim'>): string[] {
  return [nameClaim, roleClaim, ...(nameClaim === EMAIL ? [VERIFIED] : [])];
}

/** null: nothing that they have gives a role. */
export function roleOfPerson(claims: Claims, { roleClaim, roles }: OidcSettings): Role | null {
  const found = claimAt(claims, roleClaim);
  const values: readonly unknown[] = Array.isArray(found) ? found : [found];
  const given = roles.filter(({ value }) => value === EVERYBODY || values.includes(value));
  return highestRole(given.map(({ role }) => role));
}

/** `realm_access.roles` is within `realm_access`, unless a claim is called just that, as URLs are. */
function claimAt(claims: Claims, path: string): unknown {
  if (Object.hasOwn(claims, path)) return claims[path];
  let value: unknown = claims;
  for (const name of path.split('.')) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined;
    value = (value as Claims)[name];
  }
  return value;
}
