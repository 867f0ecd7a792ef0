import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type AccessGround, type Answer, cookiesOf, type Guarded, openAccessGround } from './ground.ts';
import { CLIENT, type LoginProvider, type Person, startLoginProvider } from './login-provider.ts';

/** Nobody listens there: the test carries answers to the dashboard itself, as a proxy would. */
const ORIGIN = 'https://landfall.acme.example';
const CALLBACK = `${ORIGIN}/api/login/oidc/callback`;
const ROLES = 'approver=CN=Leads,OU=Ops;operator=ops;viewer=*';

let ground: AccessGround;
beforeAll(async () => {
  ground = await openAccessGround();
});
afterAll(() => ground[Symbol.asyncDispose]());

const start = (provider: LoginProvider, environment: Record<string, string> = {}): Promise<Guarded> =>
  ground.start(
    {
      LANDFALL_OIDC_ISSUER: provider.issuer,
      ...CLIENT,
      LANDFALL_OIDC_ROLES: ROLES,
      LANDFALL_DASHBOARD_URL: ORIGIN,
      ...environment,
    },
    '0.0.0.0',
  );

const person = (claims: Record<string, unknown>): Person => ({ sub: 'id-7', claims });

type Browser = {
  /** Of the dashboard's host. */
  cookie: string;
  /** Where the provider sent it. */
  back: URL;
};

/** As a browser does: to the dashboard, to the provider, through its pages; not yet back. */
async function goToProvider(dashboard: Guarded, path = '/api/login/oidc'): Promise<Browser> {
  const begun = await dashboard.ask(path, { headers: { accept: 'text/html' } });
  expect(begun.status).toBe(303);
  const jar = new Map<string, string>();
  let at = new URL(begun.headers.location ?? '');
  for (let hops = 0; hops < 10 && at.origin !== ORIGIN; hops++) {
    const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join('; ');
    const answer = await fetch(at, { redirect: 'manual', headers: { cookie } });
    for (const set of answer.headers.getSetCookie()) {
      const [name = '', value = ''] = set.split(';')[0]?.split('=') ?? [];
      jar.set(name, value);
    }
    at = new URL(answer.headers.get('location') ?? `http://stuck/${answer.status}`, at);
  }
  expect(at.origin).toBe(ORIGIN);
  return { cookie: cookiesOf(begun), back: at };
}

/** The way back is a navigation that another site began: strict cookies stay at home. */
function comeBack(dashboard: Guarded, { cookie, back }: Browser): Promise<Answer> {
  const headers = {
    cookie,
    host: back.host,
    accept: 'text/html',
    'sec-fetch-site': 'cross-site',
    'sec-fetch-mode': 'navigate',
    'sec-fetch-dest': 'document',
  };
  return dashboard.ask(`${back.pathname}${back.search}`, { headers });
}

function sessionOf(answer: Answer): string {
  return cookiesOf(answer)
    .split('; ')
    .filter((cookie) => cookie.startsWith('__Host-landfall='))
    .join();
}

describe.each(['id-token', 'userinfo'] as const)('a provider that tells groups in the %s', (claimsAt) => {
  let provider: LoginProvider;
  beforeAll(async () => {
    provider = await startLoginProvider({ redirectUri: CALLBACK, claimsAt });
  });
  afterAll(() => provider[Symbol.asyncDispose]());

  test.each([
    ['viewer', ['others']],
    ['operator', ['others', 'ops']],
    ['approver', ['CN=Leads,OU=Ops', 'ops']],
    ['operator', 'ops'],
  ])('makes a %s of who is in %j', async (role, groups) => {
    provider.person = person({ preferred_username: 'ann', groups });
    await using dashboard = await start(provider);
    const answer = await comeBack(dashboard, await goToProvider(dashboard));
    expect(answer.status).toBe(200);
    const seen = await dashboard.ask('/api/see', { headers: { cookie: sessionOf(answer) } });
    expect(JSON.parse(seen.text)).toEqual({ name: 'ann', role });
    expect(dashboard.audited).toEqual([expect.objectContaining({ action: 'login', by: 'ann' })]);
  });
});

describe('the login', () => {
  let provider: LoginProvider;
  beforeAll(async () => {
    provider = await startLoginProvider({ redirectUri: CALLBACK, claimsAt: 'id-token' });
    provider.person = person({ preferred_username: 'ann', groups: ['ops'] });
  });
  afterAll(() => provider[Symbol.asyncDispose]());

  test('asks with PKCE, state and nonce, and keeps them from the browser', async () => {
    await using dashboard = await start(provider);
    const begun = await dashboard.ask('/api/login/oidc');
    const { searchParams } = new URL(begun.headers.location ?? '');
    expect(searchParams.get('code_challenge_method')).toBe('S256');
    for (const name of ['code_challenge', 'state', 'nonce'])
      expect(searchParams.get(name)?.length, name).toBeGreaterThan(20);
    expect(searchParams.get('redirect_uri')).toBe(CALLBACK);
    const [cookie = ''] = begun.headers['set-cookie'] ?? [];
    expect(cookie).toMatch(/^landfall-login=[\w-]{43};/);
    for (const word of ['HttpOnly', 'Secure', 'SameSite=Lax', 'Path=/api/login/oidc'])
      expect(cookie).toContain(word);
  });

  test('ends in a strict cookie, on a page of our own that leads on to where they wanted to go', async () => {
    await using dashboard = await start(provider);
    const browser = await goToProvider(dashboard, '/api/login/oidc?to=%2Fruns%2Fr1%3Fa%3D%22%3E%26b');
    const answer = await comeBack(dashboard, browser);
    expect(answer.headers['set-cookie']?.join()).toMatch(
      /__Host-landfall=[\w-]{43}; Path=\/; HttpOnly; Secure; SameSite=Strict/,
    );
    expect(answer.text).toContain('<meta http-equiv="refresh" content="0;url=/runs/r1?a=%22%3E&amp;b">');
    expect(answer.headers['content-security-policy']).toContain("script-src 'self'");
  });

  test.each([
    'https://evil.example/',
    '//evil.example/',
    '/\\evil.example',
    'javascript:alert(1)',
    '\\\\evil.example',
    '/.//evil.example',
  ])('leads nobody on to %s', async (to) => {
    await using dashboard = await start(provider);
    const browser = await goToProvider(dashboard, `/api/login/oidc?to=${encodeURIComponent(to)}`);
    const { text } = await comeBack(dashboard, browser);
    expect(text).toContain('Logged in');
    expect(text).toMatch(/content="0;url=\/(evil\.example)?"/);
  });

  test('is refused in a browser that did not begin it, and an answer is good for once', async () => {
    await using dashboard = await start(provider);
    const browser = await goToProvider(dashboard);
    const planted = await comeBack(dashboard, { ...browser, cookie: '' });
    expect([planted.status, sessionOf(planted)]).toEqual([403, '']);
    const other = await goToProvider(dashboard);
    const mixed = await comeBack(dashboard, { ...browser, cookie: other.cookie });
    expect([mixed.status, sessionOf(mixed)]).toEqual([403, '']);
    expect((await comeBack(dashboard, browser)).status).toBe(200);
    expect((await comeBack(dashboard, browser)).status).toBe(403);
  });

  test('is refused with a code that somebody made up', async () => {
    await using dashboard = await start(provider);
    const browser = await goToProvider(dashboard);
    browser.back.searchParams.set('code', 'made-up');
    const answer = await comeBack(dashboard, browser);
    expect([answer.status, sessionOf(answer)]).toEqual([403, '']);
    expect(dashboard.audited).toEqual([expect.objectContaining({ action: 'login-refused' })]);
  });

  test('that they break off tells the provider’s words as text', async () => {
    await using refusing = await startLoginProvider({ redirectUri: CALLBACK, claimsAt: 'id-token' });
    await using dashboard = await start(refusing);
    const answer = await comeBack(dashboard, await goToProvider(dashboard));
    expect(answer.status).toBe(403);
    expect(answer.text).toContain('access_denied (they said no &lt;script&gt;)');
  });

  test('is begun sixty times a minute from one address, and no more is kept', async () => {
    await using dashboard = await start(provider);
    const statuses: number[] = [];
    for (let i = 0; i < 65; i++) statuses.push((await dashboard.ask('/api/login/oidc')).status);
    expect(statuses.filter((status) => status === 303).length).toBe(60);
    expect(statuses.at(-1)).toBe(429);
  });

  test('of somebody without a role is refused, by name', async () => {
    await using dashboard = await start(provider, { LANDFALL_OIDC_ROLES: 'operator=others' });
    const answer = await comeBack(dashboard, await goToProvider(dashboard));
    expect([answer.status, sessionOf(answer)]).toEqual([403, '']);
    expect(answer.text).toContain('ann has no role here');
    expect(dashboard.audited).toEqual([expect.objectContaining({ action: 'login-refused', by: 'ann' })]);
  });

  test('of somebody whose name is not told is refused', async () => {
    await using dashboard = await start(provider, { LANDFALL_OIDC_NAME_CLAIM: 'upn' });
    const answer = await comeBack(dashboard, await goToProvider(dashboard));
    expect(answer.status).toBe(403);
    expect(answer.text).toContain('LANDFALL_OIDC_NAME_CLAIM');
  });

  test('knows people by one line of text, whatever they call themselves there', async () => {
    await using own = await startLoginProvider({ redirectUri: CALLBACK, claimsAt: 'id-token' });
    own.person = person({ preferred_username: 'kim\u001b[2J\nroot \u202e', groups: ['ops'] });
    await using dashboard = await start(own);
    await comeBack(dashboard, await goToProvider(dashboard));
    expect(dashboard.audited.map(({ by }) => by)).toEqual(['kim [2J root']);
  });

  test('may go by a claim within another', async () => {
    await using own = await startLoginProvider({ redirectUri: CALLBACK, claimsAt: 'id-token' });
    own.person = person({ preferred_username: 'kim', realm_access: { roles: ['ops'] } });
    await using dashboard = await start(own, { LANDFALL_OIDC_ROLE_CLAIM: 'realm_access.roles' });
    expect((await comeBack(dashboard, await goToProvider(dashboard))).text).toContain('kim (operator)');
  });

  test('works by token while the provider is away, and the provider works when it is back', async () => {
    const token = await ground.addToken('night', 'approver');
    await using dashboard = await start(provider, { LANDFALL_OIDC_ISSUER: 'http://127.0.0.1:9' });
    const away = await dashboard.ask('/api/login/oidc', { headers: { accept: 'text/html' } });
    expect([away.status, away.text]).toEqual([502, expect.stringContaining('LANDFALL_OIDC_ISSUER')]);
    const opened = await dashboard.ask('/api/login', { method: 'POST', body: { token } });
    expect(opened.status).toBe(200);
    expect(JSON.parse(opened.text)).toMatchObject({ login: 'oidc', user: { name: 'night' } });
  });
});

describe('settings', () => {
  test.each([
    ['an issuer in the clear', { LANDFALL_OIDC_ISSUER: 'http://sso.acme.example' }, 'LANDFALL_OIDC_ISSUER'],
    ['no client', { LANDFALL_OIDC_CLIENT_ID: '' }, 'LANDFALL_OIDC_CLIENT_ID'],
    ['no roles', { LANDFALL_OIDC_ROLES: '' }, 'LANDFALL_OIDC_ROLES'],
    ['a role that is none', { LANDFALL_OIDC_ROLES: 'admin=ops' }, 'admin=ops'],
    ['no openid', { LANDFALL_OIDC_SCOPE: 'profile' }, 'LANDFALL_OIDC_SCOPE'],
    ['no issuer', { LANDFALL_OIDC_ISSUER: '' }, 'LANDFALL_OIDC_ISSUER'],
    ['nowhere to come back to', { LANDFALL_DASHBOARD_URL: '' }, 'LANDFALL_DASHBOARD_URL'],
    [
      'a path of its own',
      { LANDFALL_DASHBOARD_URL: 'https://acme.example/landfall' },
      'LANDFALL_DASHBOARD_URL',
    ],
    [
      'a proxy without an address',
      { LANDFALL_DASHBOARD_PROXIES: 'proxy.acme.example' },
      'LANDFALL_DASHBOARD_PROXIES',
    ],
    ['a certificate without its key', { LANDFALL_DASHBOARD_CERT: 'cert.pem' }, 'LANDFALL_DASHBOARD_KEY'],
  ])('are refused with %s', async (_, environment, named) => {
    const good = { LANDFALL_OIDC_ISSUER: 'https://sso.acme.example', ...CLIENT, LANDFALL_OIDC_ROLES: ROLES };
    const given = { ...good, LANDFALL_DASHBOARD_URL: ORIGIN, ...environment };
    await expect((async () => ground.start(given, '0.0.0.0'))()).rejects.toMatchObject({
      code: 'usage',
      message: expect.stringContaining(named),
    });
  });
});
