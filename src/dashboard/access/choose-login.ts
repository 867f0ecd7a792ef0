/** How people log in, by what is set up; a dashboard that others can reach never goes without. */
import { LandfallError } from '../../domain/errors.ts';
import type { Session } from '../api/session.ts';
import { isLoopbackName } from './host-names.ts';
import type { AccessSettings } from './settings.ts';
import { readTokenFile } from './token-file.ts';

const TOKEN_REMEDY = 'Make a token: `landfall token NAME --role operator`.';

/** Throws `usage` where others could reach it without a login, or nobody could log in. */
export async function chooseLogin(settings: AccessSettings, listenHost: string): Promise<Session['login']> {
  const { oidc, tokensFile, isTokensFileNamed, url, hosts } = settings;
  const entries = await readTokenFile(tokensFile);
  if (isTokensFileNamed && entries === null)
    throw notUsable(`LANDFALL_DASHBOARD_TOKENS names ${tokensFile}, which is not there. ${TOKEN_REMEDY}`);
  const published = [listenHost, ...hosts, ...(url === null ? [] : [url.host])].filter(
    (name) => !isLoopbackName(name),
  );
  if (oidc !== null) {
    if (url === null && published.length > 0)
      throw notUsable(
        'The dashboard does not know where the login provider is to send people back to. Set LANDFALL_DASHBOARD_URL to what they type, for example https://landfall.acme.com.',
      );
    return 'oidc';
  }
  if (entries !== null && (entries.length > 0 || isTokensFileNamed || published.length > 0)) {
    if (entries.length === 0)
      throw notUsable(`There is no token in ${tokensFile}, so nobody could log in. ${TOKEN_REMEDY}`);
    return 'tokens';
  }
  const [first] = published;
  if (first === undefined) return 'none';
  throw notUsable(
    `Others than this machine can reach the dashboard on ${first}, and nobody would have to log in. ${TOKEN_REMEDY} Or set up OpenID Connect (LANDFALL_OIDC_ISSUER; docs/dashboard.md). Or let it listen on 127.0.0.1.`,
  );
}

function notUsable(message: string): LandfallError {
  return new LandfallError({ code: 'usage', message });
}
