/** A real OpenID Connect provider on loopback, where whoever comes is logged in as whom the test says. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import Provider from 'oidc-provider';

export type LoginProvider = AsyncDisposable & {
  issuer: string;
  /** Who comes next; null: they say no. */
  person: Person | null;
};

export type Person = { sub: string; claims: Record<string, unknown> };

export const CLIENT = { LANDFALL_OIDC_CLIENT_ID: 'landfall', LANDFALL_OIDC_CLIENT_SECRET: 'secret & sign%' };

/** `claimsAt`: where it tells of groups; as the real ones, some do so when asked for the user only. */
export async function startLoginProvider(options: {
  redirectUri: string;
  claimsAt: 'id-token' | 'userinfo';
}): Promise<LoginProvider> {
  const server = createServer((request, response) => void answer(request, response));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const login: LoginProvider = {
    issuer,
    person: null,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: CLIENT.LANDFALL_OIDC_CLIENT_ID,
        client_secret: CLIENT.LANDFALL_OIDC_CLIENT_SECRET,
        redirect_uris: [options.redirectUri],
        grant_types: ['authorization_code'],
        response_types: ['code'],
      },
    ],
    claims: { openid: ['sub'], profile: ['preferred_username', 'groups', 'realm_access'] },
    conformIdTokenClaims: options.claimsAt === 'userinfo',
    pkce: { required: () => true },
    features: { devInteractions: { enabled: false } },
    interactions: { url: () => '/interaction' },
    cookies: { keys: ['test'] },
    ttl: { Interaction: 600, Session: 600, Grant: 600, AccessToken: 600, IdToken: 600 },
    findAccount: (_context: unknown, accountId: string) => ({
      accountId,
      claims: async () => ({ sub: accountId, ...login.person?.claims }),
    }),
  });
  const callback = provider.callback();

  const interact = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { person } = login;
    if (person === null) {
      const refusal = { error: 'access_denied', error_description: 'they said no <script>' };
      return provider.interactionFinished(request, response, refusal);
    }
    const { prompt, params } = await provider.interactionDetails(request, response);
    if (prompt.name === 'login')
      return provider.interactionFinished(request, response, { login: { accountId: person.sub } });
    const grant = new provider.Grant({ accountId: person.sub, clientId: params.client_id });
    grant.addOIDCScope(params.scope ?? '');
    await provider.interactionFinished(request, response, { consent: { grantId: await grant.save() } });
  };
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    if (request.url?.startsWith('/interaction') === true) await interact(request, response);
    else callback(request, response);
  };
  return login;
}
