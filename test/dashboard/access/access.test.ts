import { chmod, readFile, rm, writeFile } from 'node:fs/promises';
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

describe('on this machine, without a login', () => {
  test('everybody may do everything', async () => {
    await using dashboard = await ground.start();
    const { status, text } = await dashboard.ask('/api/bless', { method: 'POST' });
    expect([status, JSON.parse(text)]).toEqual([200, { name: 'me@here', role: 'approver' }]);
    const session = await dashboard.ask('/api/session');
    expect(JSON.parse(session.text)).toEqual({
      user: { name: 'me@here', role: 'approver' },
      login: 'none',
      version: '1.2.3',
    });
  });

  test.each([
    ['localhost', 200],
    ['LOCALHOST.', 200],
    ['demo.localhost', 200],
    ['127.0.0.1', 200],
    ['127.1.2.3:9000', 200],
    ['[::1]:8470', 200],
    ['landfall.evil.example', 421],
    ['localhost.evil.example', 421],
    ['127.0.0.1.evil.example', 421],
    ['0.0.0.0', 421],
    ['10.0.0.5', 421],
    [hostname(), 421],
    ['evil.example@localhost', 421],
    ['localhost#.evil.example', 421],
  ])('called %j it answers %i', async (host, status) => {
    await using dashboard = await ground.start();
    const answer = await dashboard.ask('/api/see', { headers: { host } });
    expect(answer.status).toBe(status);
    if (status === 421) expect(codeOf(answer)).toBe('wrong-host');
  });

  test.each([
    ['a form of another site', { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' }],
    [
      'a page on another port of localhost',
      { origin: 'http://localhost:3000', 'sec-fetch-site': 'same-site' },
    ],
    ['the same without Sec-Fetch-Site', { origin: 'http://localhost:3000' }],
    ['a sandboxed frame', { origin: 'null' }],
    ['a subdomain', { origin: 'http://evil.localhost:8470' }],
  ])('refuses what %s sends', async (_, headers) => {
    await using dashboard = await ground.start();
    const answer = await dashboard.ask('/api/do', {
      method: 'POST',
      headers: { host: 'localhost:8470', ...headers },
    });
    expect([answer.status, codeOf(answer)]).toEqual([403, 'cross-site']);
  });

  test('takes what its own page sends', async () => {
    await using dashboard = await ground.start();
    const headers = {
      host: 'localhost:8470',
      origin: 'http://localhost:8470',
      'sec-fetch-site': 'same-origin',
    };
    expect((await dashboard.ask('/api/do', { method: 'POST', headers })).status).toBe(200);
  });

  test('takes no text, which a foreign page could send unasked', async () => {
    await using dashboard = await ground.start();
    const headers = { 'content-type': 'text/plain' };
    expect((await dashboard.ask('/api/do', { method: 'POST', headers, body: {} })).status).toBe(415);
  });

  test('lets no foreign page load or frame it, but follows a link', async () => {
    await using dashboard = await ground.start();
    const from = (mode: string, dest: string) => ({
      headers: { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': mode, 'sec-fetch-dest': dest },
    });
    expect((await dashboard.ask('/api/see', from('no-cors', 'script'))).status).toBe(403);
    expect((await dashboard.ask('/api/see', from('navigate', 'iframe'))).status).toBe(403);
    expect((await dashboard.ask('/free', from('navigate', 'document'))).status).toBe(200);
  });

  test.each(['x-forwarded-for', 'forwarded', 'x-real-ip', 'via'])(
    'answers nobody through a proxy that says %s',
    async (name) => {
      await using dashboard = await ground.start();
      expect((await dashboard.ask('/api/see', { headers: { [name]: '10.0.0.5' } })).status).toBe(403);
    },
  );
});

describe('what every answer tells the browser', () => {
  test('no script but from files of its own, no frames, nothing kept', async () => {
    await using dashboard = await ground.start();
    for (const path of ['/api/see', '/free', '/nothing', '/api/nothing']) {
      const { headers } = await dashboard.ask(path);
      const policy = String(headers['content-security-policy']);
      expect(policy).toMatch(/script-src 'self'(;|$)/);
      expect(policy).toContain("frame-ancestors 'none'");
      expect(policy).toContain("default-src 'self'");
      expect(policy).not.toContain('unsafe');
      expect(headers['x-content-type-options']).toBe('nosniff');
      expect(headers['strict-transport-security']).toBeUndefined();
      if (path.startsWith('/api')) expect(headers['cache-control']).toBe('no-store');
    }
    const refused = await dashboard.ask('/api/see', { headers: { host: 'evil.example' } });
    expect(refused.headers['content-security-policy']).toBeDefined();
  });

  test('HSTS only where it is reached by https', async () => {
    await ground.addToken('ann', 'viewer');
    await using dashboard = await ground.start({ LANDFALL_DASHBOARD_URL: 'https://landfall.acme.example' });
    expect((await dashboard.ask('/free')).headers['strict-transport-security']).toContain('max-age=');
  });
});

describe('starting', () => {
  test('is refused where others could reach it and nobody would log in', async () => {
    await expect(ground.start({}, PUBLIC)).rejects.toMatchObject({
      code: 'usage',
      message: expect.stringMatching(/0\.0\.0\.0.*landfall token/),
    });
    await expect(ground.start({}, 'wall.acme.example')).rejects.toMatchObject({ code: 'usage' });
    await expect(
      ground.start({ LANDFALL_DASHBOARD_URL: 'https://landfall.acme.example' }),
    ).rejects.toMatchObject({
      code: 'usage',
    });
    await expect(ground.start({ LANDFALL_DASHBOARD_HOSTS: 'wall.acme.example' })).rejects.toMatchObject({
      code: 'usage',
    });
  });

  test('is refused with a file of tokens that is named and missing, or empty', async () => {
    await expect(ground.start({ LANDFALL_DASHBOARD_TOKENS: 'elsewhere.yaml' })).rejects.toMatchObject({
      code: 'usage',
      message: expect.stringContaining('elsewhere.yaml'),
    });
    await writeFile(ground.tokensFile, '[]');
    await expect(ground.start({}, PUBLIC)).rejects.toMatchObject({ code: 'usage' });
  });

  test('is refused with a file of tokens that anybody may write to, or that is none', async () => {
    await ground.addToken('ann', 'viewer');
    await chmod(ground.tokensFile, 0o666);
    await expect(ground.start()).rejects.toMatchObject({ message: expect.stringContaining('chmod o-w') });
    await chmod(ground.tokensFile, 0o600);
    await writeFile(ground.tokensFile, '- name: ann\n  role: king\n  sha256: 00\n');
    await expect(ground.start()).rejects.toMatchObject({
      code: 'usage',
      message: expect.stringContaining('0.role'),
    });
  });

  test('says that plain HTTP can be read on the way', async () => {
    await ground.addToken('ann', 'viewer');
    await using dashboard = await ground.start({}, PUBLIC);
    expect(dashboard.logged.join()).toContain('plain HTTP');
  });
});

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

describe('behind a proxy', () => {
  const proxied = { 'x-forwarded-proto': 'https', 'x-forwarded-host': 'landfall.acme.example' };

  test('that is trusted, cookies are for TLS and for this host only', async () => {
    const token = await ground.addToken('ann', 'viewer');
    await using dashboard = await ground.start({
      LANDFALL_DASHBOARD_PROXIES: '127.0.0.1/32',
      LANDFALL_DASHBOARD_HOSTS: 'landfall.acme.example',
    });
    const headers = { ...proxied, origin: 'https://landfall.acme.example' };
    const opened = await dashboard.ask('/api/login', { method: 'POST', body: { token }, headers });
    expect(opened.status).toBe(200);
    expect(opened.headers['set-cookie']?.[0]).toMatch(/^__Host-landfall=[\w-]{43}; Path=\/; .*Secure/);
    const cookie = cookiesOf(opened);
    expect((await dashboard.ask('/api/see', { headers: { ...proxied, cookie } })).status).toBe(200);
    const evil = { ...proxied, cookie, 'x-forwarded-host': 'evil.example' };
    expect((await dashboard.ask('/api/see', { headers: evil })).status).toBe(421);
  });

  test('that is not trusted, its words count nothing', async () => {
    const token = await ground.addToken('ann', 'viewer');
    await using dashboard = await ground.start();
    const headers = { ...proxied, host: 'localhost' };
    const opened = await dashboard.ask('/api/login', { method: 'POST', body: { token }, headers });
    expect(opened.headers['set-cookie']?.[0]).toMatch(/^landfall=/);
    const evil = { host: 'evil.example', 'x-forwarded-host': 'localhost' };
    expect((await dashboard.ask('/free', { headers: evil })).status).toBe(421);
  });

  test('that hides who asked, the address that people type tells which pages are its own', async () => {
    const token = await ground.addToken('ann', 'viewer');
    await using dashboard = await ground.start({ LANDFALL_DASHBOARD_URL: 'https://landfall.acme.example' });
    const from = (origin: string) => ({
      method: 'POST',
      body: { token },
      headers: { host: '127.0.0.1', origin },
    });
    const opened = await dashboard.ask('/api/login', from('https://landfall.acme.example'));
    expect(opened.headers['set-cookie']?.[0]).toMatch(/^__Host-landfall=/);
    expect((await dashboard.ask('/api/login', from('https://evil.acme.example'))).status).toBe(403);
  });
});
