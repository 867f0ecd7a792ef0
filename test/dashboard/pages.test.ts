/** The page's files, and what is at no address. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type DashboardSite, openDashboardSite } from './dashboard-site.ts';

const HTML = { headers: { accept: 'text/html,*/*' } };

let site: DashboardSite;

beforeAll(async () => {
  site = await openDashboardSite();
});
afterAll(async () => {
  await site[Symbol.asyncDispose]();
});

describe('a page that was not built', () => {
  it('says how to build it', async () => {
    const { status, body, headers } = await site.get('/', HTML);
    expect([status, headers.get('content-type')]).toEqual([503, 'text/html; charset=utf-8']);
    expect(body).toContain('npm run setup');
  });
});

describe('the page', () => {
  beforeAll(async () => {
    const page = join(site.folder, 'page');
    await mkdir(join(page, 'assets'), { recursive: true });
    await writeFile(join(page, 'index.html'), '<!doctype html><title>The page</title>');
    await writeFile(join(page, 'assets', 'index-a1b2.js'), 'export {};');
    await writeFile(join(page, 'icon.svg'), '<svg xmlns="http://www.w3.org/2000/svg"/>');
    await writeFile(join(site.folder, 'secret.txt'), 'secret');
  });

  it.each(['/', '/runs/r1', '/runs/r1/machines/%3Cimg%20src%3Dx%3E', '/workers', '/login', '/any/where'])(
    'is at %s',
    async (path) => {
      const { status, body, headers } = await site.get(path, HTML);
      expect([status, body]).toEqual([200, '<!doctype html><title>The page</title>']);
      expect(headers.get('cache-control')).toBe('no-cache');
    },
  );

  it('has its parts, which never change under one name', async () => {
    const { status, headers } = await site.get('/assets/index-a1b2.js');
    expect(status).toBe(200);
    expect(headers.get('content-type')).toContain('javascript');
    expect(headers.get('cache-control')).toContain('immutable');
    expect((await site.get('/icon.svg')).status).toBe(200);
  });

  it.each([
    '/assets/none.js',
    '/assets/..%2f..%2fsecret.txt',
    '/..%2fsecret.txt',
    '/%2e%2e/secret.txt',
    '/none.png',
    '/api/none',
  ])('is not what answers at %s', async (path) => {
    const { status, body } = await site.get(path);
    expect([403, 404]).toContain(status);
    expect(body).toMatchObject({ error: { message: expect.any(String) } });
  });
});

describe('the API', () => {
  it('describes itself: each address with what it takes and answers', async () => {
    const { body } = await site.get('/api/openapi.json');
    const document = body as { openapi: string; paths: Record<string, object> };
    expect(document.openapi).toBe('3.1.0');
    expect(Object.keys(document.paths)).toEqual(
      expect.arrayContaining([
        '/api/runs',
        '/api/runs/{run}',
        '/api/runs/{run}/machines/{machine}',
        '/api/runs/{run}/actions',
        '/api/live',
        '/api/workers',
        '/api/pools',
        '/api/audit',
      ]),
    );
    const described = JSON.stringify(document.paths['/api/runs/{run}/actions']);
    expect(described).toContain('discardsLandingData');
    expect(described).toContain('"error"');
  });

  it.each([
    ['no JSON', '{', 400],
    ['too long', JSON.stringify({ on: 'x'.repeat(3 * 1024 ** 2) }), 413],
    ['another shape', JSON.stringify({ action: 'explode', on: { kind: 'all' } }), 400],
  ])('refuses a body that is %s, in its own shape', async (_what, body, status) => {
    const reply = await site.get('/api/runs/r1/preview', {
      method: 'POST',
      body,
      headers: { 'content-type': 'application/json' },
    });
    expect(reply.status).toBe(status);
    expect(reply.body).toMatchObject({ error: { code: 'usage', message: expect.any(String) } });
  });
});
