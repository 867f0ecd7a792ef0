/** How the dashboard is reached, and who may do what there: its part of the environment, parsed once. */
import { isIP } from 'node:net';
import { join, resolve } from 'node:path';
import { z } from 'zod';
import { LandfallError } from '../../domain/errors.ts';
import { type Role, roleSchema } from '../api/session.ts';
import { isLoopbackName } from './host-names.ts';

export type AccessSettings = {
  /** Absolute. Holds names, roles and digests of tokens. */
  tokensFile: string;
  /** Did somebody name it? Then it must be there. */
  isTokensFileNamed: boolean;
  oidc: OidcSettings | null;
  /** What people type to get there, where that is not the address that it listens on: `https://landfall.acme.com`. */
  url: URL | null;
  /** Further names by which it may be called. */
  hosts: readonly string[];
  /** Addresses or networks of proxies that may say who asks and whether over TLS. */
  proxies: readonly string[];
  /** PEM files, absolute; null: plain HTTP. */
  tls: { certFile: string; keyFile: string } | null;
};

export type OidcSettings = {
  issuer: URL;
  clientId: string;
  /** null: a public client, by PKCE alone. */
  clientSecret: string | null;
  scope: string;
  /** The claim that names a person in the audit trail. */
  nameClaim: string;
  /** The claim whose values give roles: a text or a list; `a.b` where it is within another. */
  roleClaim: string;
  /** Whoever has one of these values has the role; `*`: everybody who can log in. */
  roles: readonly { role: Role; value: string }[];
};

/** What `landfall --help` and docs/operations.md say about them. */
export const ACCESS_ENVIRONMENT = {
  LANDFALL_DASHBOARD_URL: 'what people type to reach the dashboard, for example https://landfall.acme.com',
  LANDFALL_DASHBOARD_TOKENS: 'file of `landfall token` (default LANDFALL_HOME/tokens.yaml)',
  LANDFALL_DASHBOARD_HOSTS: 'further host names by which it may be called, with commas between',
  LANDFALL_DASHBOARD_PROXIES: 'addresses or networks of reverse proxies that it trusts, with commas between',
  LANDFALL_DASHBOARD_CERT: 'PEM file of its certificate chain: it serves TLS',
  LANDFALL_DASHBOARD_KEY: 'PEM file of the key of that certificate',
  LANDFALL_OIDC_ISSUER: 'OpenID Connect: people log in there',
  LANDFALL_OIDC_CLIENT_ID: 'OpenID Connect: the client that the dashboard is',
  LANDFALL_OIDC_CLIENT_SECRET: 'OpenID Connect: its secret (a public client has none)',
  LANDFALL_OIDC_ROLES: 'OpenID Connect: who has which role, for example approver=leads;operator=ops;viewer=*',
  LANDFALL_OIDC_ROLE_CLAIM: 'OpenID Connect: the claim that roles go by (default groups)',
  LANDFALL_OIDC_NAME_CLAIM: 'OpenID Connect: the claim that names people (default preferred_username)',
  LANDFALL_OIDC_SCOPE: 'OpenID Connect: what is asked for (default openid profile email)',
} as const;

const text = z.string().trim().min(1).optional();
const list = z
  .string()
  .transform((value) => value.split(',').flatMap((part) => (part.trim() === '' ? [] : [part.trim()])))
  .optional();
const url = z
  .string()
  .trim()
  .transform((value, context) => {
    const parsed = URL.parse(value);
    if (parsed !== null && ['http:', 'https:'].includes(parsed.protocol)) return parsed;
    context.addIssue(`${JSON.stringify(value)} is not an http:// or https:// address`);
    return z.NEVER;
  });

const environmentSchema = z.object({
  LANDFALL_DASHBOARD_URL: url
    .refine(({ pathname }) => pathname === '/', 'the dashboard has a host of its own, not a path')
    .optional(),
  LANDFALL_DASHBOARD_TOKENS: text,
  LANDFALL_DASHBOARD_HOSTS: list,
  LANDFALL_DASHBOARD_PROXIES: list.refine(
    (proxies) => proxies === undefined || proxies.every(isAddressOrNetwork),
    'expected addresses or networks, for example 10.0.0.5,10.1.0.0/16',
  ),
  LANDFALL_DASHBOARD_CERT: text,
  LANDFALL_DASHBOARD_KEY: text,
  LANDFALL_OIDC_ISSUER: url
    .refine(
      ({ protocol, hostname }) => protocol === 'https:' || isLoopbackName(hostname),
      'an issuer is reached by https://',
    )
    .optional(),
  LANDFALL_OIDC_CLIENT_ID: text,
  LANDFALL_OIDC_CLIENT_SECRET: text,
  LANDFALL_OIDC_ROLES: z.string().transform(readRoles).optional(),
  LANDFALL_OIDC_ROLE_CLAIM: text,
  LANDFALL_OIDC_NAME_CLAIM: text,
  LANDFALL_OIDC_SCOPE: text.refine(
    (scope) => scope === undefined || scope.split(/\s+/).includes('openid'),
    'openid must be among the scopes',
  ),
});

type AccessEnvironment = z.infer<typeof environmentSchema>;

/** `environment`: without empty variables. Relative paths are of `folder`. Throws `usage`. */
export function readAccessSettings(
  environment: NodeJS.ProcessEnv,
  { folder, home }: { folder: string; home: string },
): AccessSettings {
  const parsed = environmentSchema.safeParse(environment);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw wrong(String(issue?.path[0]), issue?.message ?? '');
  }
  const given = parsed.data;
  return {
    tokensFile: resolve(folder, given.LANDFALL_DASHBOARD_TOKENS ?? join(home, 'tokens.yaml')),
    isTokensFileNamed: given.LANDFALL_DASHBOARD_TOKENS !== undefined,
    oidc: readOidc(given),
    url: given.LANDFALL_DASHBOARD_URL ?? null,
    hosts: given.LANDFALL_DASHBOARD_HOSTS ?? [],
    proxies: given.LANDFALL_DASHBOARD_PROXIES ?? [],
    tls: readTls(given, folder),
  };
}

function readOidc(given: AccessEnvironment): OidcSettings | null {
  const { LANDFALL_OIDC_ISSUER: issuer, LANDFALL_OIDC_CLIENT_ID: clientId } = given;
  const others = [clientId, given.LANDFALL_OIDC_CLIENT_SECRET, given.LANDFALL_OIDC_ROLES];
  if (issuer === undefined) {
    if (others.every((value) => value === undefined)) return null;
    throw wrong('LANDFALL_OIDC_ISSUER', 'it is missing, and other settings of OpenID Connect are there');
  }
  if (clientId === undefined) throw wrong('LANDFALL_OIDC_CLIENT_ID', 'it is missing');
  // Nobody could log in without it, or everybody would be whatever we guess.
  if (given.LANDFALL_OIDC_ROLES === undefined)
    throw wrong('LANDFALL_OIDC_ROLES', 'it is missing; `operator=GROUP;viewer=*` lets everybody look');
  return {
    issuer,
    clientId,
    clientSecret: given.LANDFALL_OIDC_CLIENT_SECRET ?? null,
    scope: given.LANDFALL_OIDC_SCOPE ?? 'openid profile email',
    nameClaim: given.LANDFALL_OIDC_NAME_CLAIM ?? 'preferred_username',
    roleClaim: given.LANDFALL_OIDC_ROLE_CLAIM ?? 'groups',
    roles: given.LANDFALL_OIDC_ROLES,
  };
}

/** `ROLE=VALUE;ROLE=VALUE`: values may hold `=` and `,`, as the names of groups in a directory do. */
function readRoles(value: string, context: z.RefinementCtx): OidcSettings['roles'] {
  return value
    .split(';')
    .filter((part) => part.trim() !== '')
    .flatMap((part) => {
      const [, name = '', wanted = ''] = /^\s*([^=]*?)\s*=\s*(.*?)\s*$/.exec(part) ?? [];
      const role = roleSchema.safeParse(name);
      if (role.success && wanted !== '') return [{ role: role.data, value: wanted }];
      const roles = roleSchema.options.join(', ');
      context.addIssue(`${JSON.stringify(part.trim())} is not ROLE=VALUE with a role of ${roles}`);
      return [];
    });
}

function isAddressOrNetwork(text: string): boolean {
  const [, address = '', bits = '0'] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
  const version = isIP(address);
  return version !== 0 && Number(bits) <= (version === 4 ? 32 : 128);
}

function readTls(given: AccessEnvironment, folder: string): AccessSettings['tls'] {
  const { LANDFALL_DASHBOARD_CERT: cert, LANDFALL_DASHBOARD_KEY: key } = given;
  if (cert === undefined && key === undefined) return null;
  if (cert === undefined || key === undefined)
    throw wrong(`LANDFALL_DASHBOARD_${cert === undefined ? 'CERT' : 'KEY'}`, 'it is missing; TLS needs both');
  return { certFile: resolve(folder, cert), keyFile: resolve(folder, key) };
}

function wrong(name: string, why: string): LandfallError {
  return new LandfallError({
    code: 'usage',
    message: `The environment variable ${name} is wrong: ${why.replace(/\.$/, '')}.`,
  });
}
