/**
 * The managed identity of an App Service, as DefaultAzureCredential finds it: plain HTTP on loopback, a secret header,
 * and access tokens that Resource Manager accepts.
 * https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import type { HttpAnswer, HttpRequest } from '../http.ts';
import { Refusal } from '../refusal.ts';
import type { AzureAccount } from './account.ts';
import { refuse } from './refusals.ts';

export type Identity = {
  /** Hands out a token. Throws a Refusal. */
  answer(http: HttpRequest): HttpAnswer;
  /** Checks a request's bearer token. Throws a Refusal (401) in Resource Manager's words. */
  authenticate(http: HttpRequest): void;
};

export type IdentityOptions = { account: AzureAccount; tokenSeconds: number; now: () => number };

export const IDENTITY_PATH = '/msi/token';
const API_VERSION = '2019-08-01';
/** Resource Manager takes tokens for itself, under its new and its old name. */
const AUDIENCES: ReadonlySet<string> = new Set([
  'https://management.azure.com',
  'https://management.core.windows.net',
]);

export function createIdentity({ account, tokenSeconds, now }: IdentityOptions): Identity {
  return {
    answer({ method, rawPath, query, headers }) {
      if (method !== 'GET' || rawPath !== IDENTITY_PATH) throw refuseToken(404, 'NotFound', 'No such path.');
      if (!isSame(String(headers['x-identity-header'] ?? ''), account.identityHeader)) {
        throw refuseToken(401, 'Unauthorized', 'The X-IDENTITY-HEADER is missing or wrong.');
      }
      if (query.get('api-version') !== API_VERSION) {
        throw refuseToken(400, 'InvalidApiVersion', `The api-version must be ${API_VERSION}.`);
      }
      const resource = query.get('resource') ?? '';
      if (resource === '') throw refuseToken(400, 'InvalidRequest', 'The parameter resource is missing.');
      const expiresAt = Math.floor(now() / 1000) + tokenSeconds;
      const text = JSON.stringify({
        access_token: issueToken(account, resource, expiresAt),
        expires_on: String(expiresAt),
        resource,
        token_type: 'Bearer',
        client_id: account.principalId,
      });
      return { status: 200, headers: { 'content-type': 'application/json' }, body: { kind: 'text', text } };
    },
    authenticate({ headers }) {
      const { authorization } = headers;
      if (authorization === undefined) {
        throw refuse(
          401,
          'AuthenticationFailed',
          "Authentication failed. The 'Authorization' header is missing.",
        );
      }
      const claims = readToken(account, /^Bearer (.+)$/.exec(authorization)?.[1] ?? '');
      if (claims === null) throw refuse(401, 'InvalidAuthenticationToken', 'The access token is invalid.');
      if (!AUDIENCES.has(claims.aud.replace(/\/+$/, ''))) {
        const message = `The access token has been obtained for wrong audience or resource '${claims.aud}'.`;
        throw refuse(401, 'InvalidAuthenticationTokenAudience', message);
      }
      if (claims.exp * 1000 <= now()) {
        throw refuse(
          401,
          'ExpiredAuthenticationToken',
          `The access token expiry UTC time '${claims.exp}' is earlier than current UTC time.`,
        );
      }
    },
  };
}

export function answerIdentityRefusal(refusal: Refusal): HttpAnswer {
  const { code, message, status } = refusal;
  const text = JSON.stringify({ statusCode: status, error: code, error_description: message, message });
  return { status, headers: { 'content-type': 'application/json' }, body: { kind: 'text', text } };
}

type Claims = { aud: string; exp: number };

function issueToken({ tokenSecret, principalId, tenantId }: AzureAccount, aud: string, exp: number): string {
  const claims = { aud, exp, oid: principalId, sub: principalId, tid: tenantId };
  const parts = [{ alg: 'HS256', typ: 'JWT' }, claims].map((part) =>
    Buffer.from(JSON.stringify(part)).toString('base64url'),
  );
  return [...parts, signToken(tokenSecret, parts.join('.'))].join('.');
}

/** null where it is not one of ours. */
function readToken({ tokenSecret }: AzureAccount, token: string): Claims | null {
  const [head = '', claims = '', signature = ''] = token.split('.');
  if (!isSame(signature, signToken(tokenSecret, `${head}.${claims}`))) return null;
  return JSON.parse(Buffer.from(claims, 'base64url').toString()) as Claims;
}

function signToken(secret: string, text: string): string {
  return createHmac('sha256', secret).update(text).digest('base64url');
}

function isSame(given: string, expected: string): boolean {
  const [left, right] = [Buffer.from(given), Buffer.from(expected)];
  return left.length === right.length && timingSafeEqual(left, right);
}

function refuseToken(status: number, code: string, message: string): Refusal {
  return new Refusal({ status, code, message });
}
