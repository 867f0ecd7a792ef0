/**
 * The OpenID Connect provider where people log in: authorization code with PKCE, state and nonce.
 * https://openid.net/specs/openid-connect-core-1_0.html#CodeFlowAuth
 */
import {
  allowInsecureRequests,
  authorizationCodeGrant,
  buildAuthorizationUrl,
  type ClientAuth,
  ClientSecretBasic,
  ClientSecretPost,
  type Configuration,
  calculatePKCECodeChallenge,
  discovery,
  enableNonRepudiationChecks,
  fetchUserInfo,
  None,
  randomNonce,
  randomPKCECodeVerifier,
  randomState,
} from 'openid-client';
import { asLandfallError, LandfallError } from '../../domain/errors.ts';
import { isLoopbackName } from './host-names.ts';
import { type Claims, nameOfPerson, roleOfPerson, wantedClaims } from './oidc-claims.ts';
import { oneLine } from './one-line.ts';
import type { OidcSettings } from './settings.ts';
import type { User } from './user.ts';

/** What must be known again when somebody comes back from the provider. */
export type OidcFlow = { state: string; nonce: string; verifier: string };

export type OidcProvider = {
  /** Where to send somebody who wants to log in. Throws `target-unavailable` where the provider does not answer. */
  begin(redirectUri: string): Promise<{ url: URL; flow: OidcFlow }>;
  /**
   * `answer`: the address at which they came back. `role` is null for who may not even look. Throws `target-refused` where
   * the answer is not one to this flow.
   */
  finish(answer: URL, flow: OidcFlow): Promise<{ name: string; role: User['role'] | null }>;
};

const TIMEOUT_SECONDS = 10;
const MAX_WORDS_CHARS = 300;

export function createOidcProvider(settings: OidcSettings): OidcProvider {
  let known: Promise<Configuration> | null = null;
  /** Asked for when it is needed, so that a provider that is away keeps no dashboard from starting. */
  const configuration = async (): Promise<Configuration> => {
    known ??= discover(settings);
    try {
      return await known;
    } catch (error) {
      known = null;
      throw providerAway(settings, error);
    }
  };
  return {
    async begin(redirectUri) {
      const flow: OidcFlow = {
        state: randomState(),
        nonce: randomNonce(),
        verifier: randomPKCECodeVerifier(),
      };
      const url = buildAuthorizationUrl(await configuration(), {
        redirect_uri: redirectUri,
        scope: settings.scope,
        state: flow.state,
        nonce: flow.nonce,
        code_challenge: await calculatePKCECodeChallenge(flow.verifier),
        code_challenge_method: 'S256',
      });
      return { url, flow };
    },
    async finish(answer, { state, nonce, verifier }) {
      const config = await configuration();
      try {
        const tokens = await authorizationCodeGrant(config, answer, {
          expectedState: state,
          expectedNonce: nonce,
          pkceCodeVerifier: verifier,
        });
        const claims = tokens.claims();
        if (claims === undefined) throw new Error('it sent no ID token');
        const all = await completeClaims({ config, settings, claims, accessToken: tokens.access_token });
        return { name: nameOfPerson(all, settings), role: roleOfPerson(all, settings) };
      } catch (error) {
        throw loginRefused(settings, error);
      }
    },
  };
}

function discover({ issuer, clientId, clientSecret }: OidcSettings): Promise<Configuration> {
  const isPlain = issuer.protocol === 'http:' && isLoopbackName(issuer.hostname);
  return discovery(issuer, clientId, undefined, authenticationOf(clientSecret), {
    timeout: TIMEOUT_SECONDS,
    // The ID token's signature is checked too, although it comes from the provider itself.
    execute: [enableNonRepudiationChecks, ...(isPlain ? [allowInsecureRequests] : [])],
  });
}

/** As the provider says that it wants it; where it says nothing, `client_secret_basic` holds. */
function authenticationOf(clientSecret: string | null): ClientAuth {
  if (clientSecret === null) return None();
  const byPost = ClientSecretPost(clientSecret);
  const byHeader = ClientSecretBasic(clientSecret);
  return (server, client, body, headers) => {
    const methods = server.token_endpoint_auth_methods_supported ?? ['client_secret_basic'];
    const authenticate = methods.includes('client_secret_basic') ? byHeader : byPost;
    authenticate(server, client, body, headers);
  };
}

/** Some providers put groups into the ID token, others tell them only when asked for the user. */
async function completeClaims(given: {
  config: Configuration;
  settings: OidcSettings;
  claims: Claims & { sub: string };
  accessToken: string;
}): Promise<Claims> {
  const { config, settings, claims, accessToken } = given;
  const top = (path: string): string => path.split('.')[0] ?? path;
  const isComplete = wantedClaims(settings).every((claim) => claim in claims || top(claim) in claims);
  if (isComplete || config.serverMetadata().userinfo_endpoint === undefined) return claims;
  return { ...(await fetchUserInfo(config, accessToken, claims.sub)), ...claims };
}

function providerAway({ issuer }: OidcSettings, error: unknown): LandfallError {
  return new LandfallError({
    code: 'target-unavailable',
    message: `The login provider ${issuer.href} cannot be asked: ${describe(error)}. Try again; if it stays so, check LANDFALL_OIDC_ISSUER.`,
    retryable: true,
    cause: error,
  });
}

function loginRefused({ issuer }: OidcSettings, error: unknown): LandfallError {
  if (error instanceof LandfallError) return error;
  return new LandfallError({
    code: 'target-refused',
    message: `The login at ${issuer.href} did not work: ${describe(error)}. Log in again; if it stays so, compare the client's settings there with docs/dashboard.md.`,
    cause: error,
  });
}

/** The provider's own words, where it has any. */
function describe(error: unknown): string {
  const { error: code, error_description: words } = error as { error?: unknown; error_description?: unknown };
  if (typeof code === 'string')
    return oneLine(typeof words === 'string' ? `${code} (${words})` : code, MAX_WORDS_CHARS);
  const { message, cause } = asLandfallError(error);
  return cause instanceof Error && cause !== error ? `${message} (${cause.message})` : message;
}
