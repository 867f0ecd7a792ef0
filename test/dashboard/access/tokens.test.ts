import { readFile, rm, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { openState } from '../../../src/state/state.ts';
import {
  type AccessGround,
  type Answer,
  codeOf,
  cookiesOf,
  type Guarded,
  openAccessGround,
} from './ground.ts';

let ground: AccessGround;
beforeAll(async () => {
  ground = await openAccessGround();
});
afterAll(() => ground[Symbol.asyncDispose]());
afterEach(() => rm(ground.tokensFile, { force: true }));

const PUBLIC = '0.0.0.0';

describe('with tokens', () => {
  const login = (dashboard: Guarded, token: string, headers = {}): Promise<Answer> =>
    dashboard.ask('/api/login', { method: 'POST', body: { token }, headers });

  test('nobody sees anything before the login, and people are led to it', async () => {
    await ground.addToken('ann', 'viewer');
    await using dashboard = await ground.start({}, PUBLIC);
    const program = await dashboard.ask('/api/see');
    expect([program.status, codeOf(program)]).toEqual([401, 'login-required']);
    const person = await dashboard.ask('/api/see?a=b', { headers: { accept: 'text/html' } });
    expect([person.status, person.headers.location]).toEqual([303, '/login?to=%2Fapi%2Fsee%3Fa%3Db']);
    expect((await dashboard.ask('/free')).status).toBe(200);
    expect(JSON.parse((await dashboard.ask('/api/session')).text)).toMatchObject({
      user: null,
      login: 'tokens',
    });
  });

  test('who follows a link from elsewhere is looked at again from a page of ours, where the cookie comes along', async () => {
    await ground.addToken('ann', 'viewer');
    await using dashboard = await ground.start({}, PUBLIC);
    const headers = {
      accept: 'text/html',
      'sec-fetch-site': 'cross-site',
      'sec-fetch-mode': 'navigate',
      'sec-fetch-dest': 'document',
    };
    const answer = await dashboard.ask('/api/see?a=b', { headers });
    expect([answer.status, answer.text]).toEqual([
      200,
      expect.stringContaining('content="0;url=/api/see?a=b"'),
    ]);
    const again = await dashboard.ask('/api/see?a=b', {
      headers: { ...headers, 'sec-fetch-site': 'same-origin' },
    });
    expect(again.headers.location).toBe('/login?to=%2Fapi%2Fsee%3Fa%3Db');
  });

  test('a token opens a session that lasts over a restart of the dashboard, until the logout', async () => {
    const token = await ground.addToken('ann', 'operator');
    await using dashboard = await ground.start({}, PUBLIC);
    const opened = await login(dashboard, token);
    expect(opened.status).toBe(200);
    const [setCookie = ''] = opened.headers['set-cookie'] ?? [];
    expect(setCookie).toMatch(/^landfall=[\w-]{43};/);
    expect(setCookie).toMatch(/; HttpOnly/);
    expect(setCookie).toMatch(/; SameSite=Strict/);
    expect(setCookie).not.toMatch(/; Secure/);
    const headers = { cookie: cookiesOf(opened) };
    expect((await dashboard.ask('/api/see', { headers })).text).toBe('{"name":"ann","role":"operator"}');
    await dashboard.restart();
    expect((await dashboard.ask('/api/see', { headers })).status).toBe(200);

    const closed = await dashboard.ask('/api/logout', { method: 'POST', headers });
    expect([closed.status, cookiesOf(closed)]).toEqual([200, 'landfall=']);
    expect((await dashboard.ask('/api/see', { headers })).status).toBe(401);
    expect(dashboard.audited.map(({ action, by }) => `${action} ${by}`)).toEqual(['login ann', 'logout ann']);
  });

  test('a forged, shortened or foreign cookie is nobody’s', async () => {
    const token = await ground.addToken('ann', 'viewer');
    await using dashboard = await ground.start({}, PUBLIC);
    const cookie = cookiesOf(await login(dashboard, token));
    const forged = [
      'landfall=',
      'landfall=ann',
      `landfall=${'A'.repeat(43)}`,
      cookie.slice(0, -1),
      `${cookie}A`,
    ];
    for (const each of [...forged, `__Host-${cookie}`, cookie.replace('=', '=%00')])
      expect((await dashboard.ask('/api/see', { headers: { cookie: each } })).status, each).toBe(401);
    expect((await dashboard.ask('/api/see', { headers: { cookie } })).status).toBe(200);
  });

  test('what Redis holds opens nothing', async () => {
    const token = await ground.addToken('ann', 'viewer');
    await using dashboard = await ground.start({}, PUBLIC);
    const secret = cookiesOf(await login(dashboard, token)).replace('landfall=', '');
    await using state = openState(ground.redis.url);
    const kept = await state.redis.keys('*secret*');
    expect(kept.length).toBeGreaterThan(0);
    const values = await Promise.all(kept.map((key) => state.redis.hgetall(key)));
    const all = JSON.stringify([kept, values]);
    expect(all).not.toContain(secret);
    expect(all).not.toContain(token);
    expect(await readFile(ground.tokensFile, 'utf8')).not.toContain(token);
  });

  test('who loses the token is out at once; who gets another role has it at once', async () => {
    const token = await ground.addToken('ann', 'viewer');
    await ground.addToken('bob', 'viewer');
    await using dashboard = await ground.start({}, PUBLIC);
    const headers = { cookie: cookiesOf(await login(dashboard, token)) };
    const act = () => dashboard.ask('/api/do', { method: 'POST', headers });
    expect(codeOf(await act())).toBe('not-allowed');
    const text = await readFile(ground.tokensFile, 'utf8');
    await writeFile(ground.tokensFile, text.replace('role: viewer', 'role: operator'));
    expect((await act()).status).toBe(200);
    await writeFile(ground.tokensFile, text.slice(text.indexOf('- name: bob')));
    expect((await act()).status).toBe(401);
    await writeFile(ground.tokensFile, text);
    expect((await dashboard.ask('/api/see', { headers })).status).toBe(200);
    await rm(ground.tokensFile);
    expect((await dashboard.ask('/api/see', { headers })).status).toBe(401);
  });

  test('a page that stays open ends with the session or the token', async () => {
    const token = await ground.addToken('ann', 'viewer');
    await ground.addToken('bob', 'viewer');
    await using dashboard = await ground.start({}, PUBLIC);
    const stay = async (headers: Record<string, string>): Promise<boolean> => {
      expect((await dashboard.ask('/api/stay', { headers })).status).toBe(200);
      return dashboard.isStillIn();
    };
    const cookie = cookiesOf(await login(dashboard, token));
    expect(await stay({ cookie })).toBe(true);
    await dashboard.ask('/api/logout', { method: 'POST', headers: { cookie } });
    expect(await dashboard.isStillIn()).toBe(false);
    expect(await stay({ authorization: `Bearer ${token}` })).toBe(true);
    await ground.addToken('ann', 'viewer');
    expect(await dashboard.isStillIn()).toBe(false);
  });

  test('a file that somebody broke throws nobody out, and is said', async () => {
    const token = await ground.addToken('ann', 'viewer');
    await using dashboard = await ground.start({}, PUBLIC);
    const headers = { cookie: cookiesOf(await login(dashboard, token)) };
    await writeFile(ground.tokensFile, '- name: [');
    expect((await dashboard.ask('/api/see', { headers })).status).toBe(200);
    expect(dashboard.logged.join()).toContain('it is not YAML');
  });

  test('a token that expired counts no more', async () => {
    const token = await ground.addToken('ann', 'viewer');
    const text = await readFile(ground.tokensFile, 'utf8');
    await using dashboard = await ground.start({}, PUBLIC);
    await writeFile(ground.tokensFile, `${text}  expires: 2020-01-01\n`);
    expect((await login(dashboard, token)).status).toBe(401);
  });

  test.each([
    ['viewer', 200, 403, 403],
    ['operator', 200, 200, 403],
    ['approver', 200, 200, 200],
  ] as const)('a %s sees, acts, approves: %i %i %i', async (role, sees, acts, approves) => {
    const token = await ground.addToken('ann', role);
    await using dashboard = await ground.start({}, PUBLIC);
    const headers = { authorization: `Bearer ${token}` };
    const post = { method: 'POST', headers };
    expect((await dashboard.ask('/api/see', { headers })).status).toBe(sees);
    expect((await dashboard.ask('/api/do', post)).status).toBe(acts);
    expect((await dashboard.ask('/api/bless', post)).status).toBe(approves);
  });

  test('a password that somebody hashed by hand is no token', async () => {
    const sha256 = '5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8';
    await writeFile(ground.tokensFile, `- name: ann\n  role: viewer\n  sha256: ${sha256}\n`);
    await using dashboard = await ground.start({}, PUBLIC);
    expect((await login(dashboard, 'password')).status).toBe(401);
  });

  test('ten failed logins from one address are enough for a minute, also as bearer tokens', async () => {
    const token = await ground.addToken('ann', 'viewer');
    await using dashboard = await ground.start({}, PUBLIC);
    const statuses: number[] = [];
    for (let i = 0; i < 5; i++) statuses.push((await login(dashboard, `lf_${'x'.repeat(43)}`)).status);
    for (let i = 0; i < 5; i++)
      statuses.push((await dashboard.ask('/api/see', { headers: { authorization: 'Bearer x' } })).status);
    expect(new Set(statuses)).toEqual(new Set([401]));
    const refused = await login(dashboard, token);
    expect([refused.status, codeOf(refused), refused.headers['retry-after']]).toEqual([
      429,
      'too-many-logins',
      '60',
    ]);
    expect((await dashboard.ask('/api/see', { headers: { authorization: `Bearer ${token}` } })).status).toBe(
      429,
    );
    // Who tells of itself that it is somebody else is not believed.
    expect((await login(dashboard, token, { 'x-forwarded-for': '10.9.9.9' })).status).toBe(429);
  });

  test('what a proxy has its users log in with is not taken for a token', async () => {
    const token = await ground.addToken('ann', 'viewer');
    await using dashboard = await ground.start({}, PUBLIC);
    const authorization = `Basic ${Buffer.from('ann:secret').toString('base64')}`;
    const opened = await login(dashboard, token, { authorization });
    const headers = { authorization, cookie: cookiesOf(opened) };
    for (let i = 0; i < 12; i++) expect((await dashboard.ask('/api/see', { headers })).status).toBe(200);
    expect((await dashboard.ask('/api/see', { headers: { authorization } })).status).toBe(401);
  });

  test('a team that logs in together is no attack', async () => {
    const token = await ground.addToken('ann', 'viewer');
    await using dashboard = await ground.start({}, PUBLIC);
    for (let i = 0; i < 15; i++) expect((await login(dashboard, token)).status).toBe(200);
  });

  test('is called by any address, its own name, and names that are given; never by others', async () => {
    const token = await ground.addToken('ann', 'viewer');
    await using dashboard = await ground.start(
      {
        LANDFALL_DASHBOARD_HOSTS: 'wall.acme.example, other',
        LANDFALL_DASHBOARD_URL: 'http://landfall.acme.example',
      },
      PUBLIC,
    );
    const statusFor = async (host: string): Promise<number> =>
      (await dashboard.ask('/api/see', { headers: { host, authorization: `Bearer ${token}` } })).status;
    for (const host of [
      '10.0.0.5:8470',
      '[fe80::1]',
      hostname(),
      'WALL.acme.example:8470',
      'landfall.acme.example',
    ])
      expect(await statusFor(host), host).toBe(200);
    for (const host of ['evil.example', 'acme.example', 'landfall.acme.example.evil.example'])
      expect(await statusFor(host), host).toBe(421);
  });

  test('while Redis is away nobody is taken for logged in, nor logged out', async () => {
    const token = await ground.addToken('ann', 'viewer');
    await using own = await openAccessGround();
    await writeFile(own.tokensFile, await readFile(ground.tokensFile, 'utf8'));
    await using dashboard = await own.start({}, PUBLIC);
    const headers = { cookie: cookiesOf(await login(dashboard, token)) };
    process.kill(own.redis.pid(), 'SIGSTOP');
    try {
      const answer = await dashboard.ask('/api/see', { headers });
      expect([answer.status, answer.headers['set-cookie']]).toEqual([503, undefined]);
    } finally {
      process.kill(own.redis.pid(), 'SIGCONT');
    }
    expect((await dashboard.ask('/api/see', { headers })).status).toBe(200);
  });
});
