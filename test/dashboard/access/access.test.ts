import { chmod, readFile, rm, writeFile } from 'node:fs/promises';
import { request as httpsRequest } from 'node:https';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { runTool } from '../../../src/processes/child.ts';
import { type AccessGround, codeOf, cookiesOf, openAccessGround } from './ground.ts';

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

describe('with a certificate of its own', () => {
  test('it serves TLS, and cookies go over TLS only', async () => {
    const token = await ground.addToken('ann', 'viewer');
    const [cert, key] = ['cert.pem', 'key.pem'].map((name) => join(ground.folder, name)) as [string, string];
    await runTool({
      command: 'openssl',
      args: [
        ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'],
        ...['-subj', '/CN=localhost', '-keyout', key, '-out', cert],
      ],
    });
    const tls = { LANDFALL_DASHBOARD_CERT: cert, LANDFALL_DASHBOARD_KEY: key };
    await using dashboard = await ground.start(tls, PUBLIC);
    expect(dashboard.logged).toEqual([]);
    const ca = await readFile(cert);
    const [cookie = ''] = await new Promise<string[]>((resolve, reject) => {
      const headers = { 'content-type': 'application/json', host: 'localhost' };
      const to = { host: '127.0.0.1', servername: 'localhost', port: dashboard.port, ca, agent: false };
      const login = httpsRequest({ ...to, path: '/api/login', method: 'POST', headers }, (response) => {
        response.resume().on('end', () => resolve(response.headers['set-cookie'] ?? []));
      });
      login.on('error', reject).end(JSON.stringify({ token }));
    });
    expect(cookie).toMatch(/^__Host-landfall=[\w-]{43}; Path=\/; HttpOnly; Secure; SameSite=Strict/);
    await expect(ground.start({ ...tls, LANDFALL_DASHBOARD_KEY: cert }, PUBLIC)).rejects.toMatchObject({
      code: 'usage',
    });
    await expect(ground.start({ ...tls, LANDFALL_DASHBOARD_CERT: '/nowhere' }, PUBLIC)).rejects.toMatchObject(
      {
        code: 'usage',
        message: expect.stringContaining('LANDFALL_DASHBOARD_CERT'),
      },
    );
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
