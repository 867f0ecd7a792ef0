/** Who may not, from a real browser: viewers, pages of other sites, forged sessions. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { makeRecords, makeRun, makeWave } from '../../fakes/records.ts';
import { type BrowserSite, openBrowserSite, type Tab } from './browser-site.ts';

let ground: BrowserSite;
beforeAll(async () => {
  ground = await openBrowserSite({ people: { vera: 'viewer', omar: 'operator' } });
}, 60_000);
afterAll(async () => {
  await ground?.[Symbol.asyncDispose]();
});
beforeEach(async () => {
  await ground.site.app.state.redis.flushall();
  const run = makeRun('night', makeWave('wave', ['db', 'app']));
  await ground.site.app.state.runs.create(run, makeRecords(run));
  await ground.site.app.conductor.advanceRun('night');
});

async function logIn(path: string, name: string): Promise<Tab> {
  const tab = await ground.open(path);
  await tab.page.getByLabel(/token/i).first().fill(ground.site.tokenOf(name));
  await tab.page.getByRole('button', { name: /log in/i }).click();
  await tab.page.getByRole('heading', { name: 'night' }).waitFor();
  return tab;
}

const isHeld = async (): Promise<boolean> => {
  const run = await ground.site.app.state.runs.get('night');
  return run === null || run.hold !== null;
};

const DEED = { action: 'hold', on: { kind: 'run' }, reason: 'because I can' };

describe('the dashboard', { timeout: 60_000 }, () => {
  test('lets a viewer look, and says why nothing can be done, also where the page is got round', async () => {
    await using tab = await logIn('/runs/night', 'vera');
    const hold = tab.page.getByRole('button', { name: 'Hold the run' });
    expect(await hold.getAttribute('aria-disabled')).toBe('true');
    await hold.focus();
    await tab.page.getByText('This takes the role operator; you are viewer.').first().waitFor();
    await hold.click({ force: true });
    expect(await tab.page.getByRole('dialog').count()).toBe(0);
    const status = await tab.page.evaluate(
      async (deed) =>
        (
          await fetch('/api/runs/night/actions', {
            method: 'POST',
            headers: { 'content-type': 'application/json' },
            body: JSON.stringify(deed),
          })
        ).status,
      DEED,
    );
    expect(status).toBe(403);
    expect(await isHeld()).toBe(false);
    expect(tab.complaints).toEqual([]);
  });

  test('keeps a session where no script can read it, and believes no other', async () => {
    await using tab = await logIn('/runs/night', 'omar');
    expect(await tab.page.evaluate('document.cookie')).toBe('');
    const [cookie] = await tab.context.cookies();
    expect(cookie).toMatchObject({ httpOnly: true, sameSite: 'Strict' });
    const forged = `${cookie?.value.slice(0, -4)}AAAA`;
    await tab.context.addCookies([{ name: cookie?.name ?? '', value: forged, url: ground.site.url }]);
    await tab.page.reload();
    await tab.page.getByLabel(/token/i).first().waitFor();
  });

  test('does nothing that a page of another site asks for, whoever is logged in', async () => {
    await using tab = await logIn('/runs/night', 'omar');
    const target = `${ground.site.url}/api/runs/night/actions`;
    await using elsewhere = await serve(`<form id="f" method="post" enctype="text/plain" action="${target}">
      <input name='${JSON.stringify(DEED).slice(0, -1)},"x":"' value='"}'></form>`);
    const page = await tab.context.newPage();
    await page.goto(elsewhere.url);
    const answer = await page.evaluate(
      async ({ url, deed }) => {
        const init = { method: 'POST', credentials: 'include', mode: 'no-cors', body: deed } as const;
        await fetch(url, init).catch(() => null);
        const asked = await fetch(url, { ...init, mode: 'cors' }).catch((error) => String(error));
        return typeof asked === 'string' ? asked : `read ${asked.status}`;
      },
      { url: target, deed: JSON.stringify(DEED) },
    );
    expect(answer).toMatch(/TypeError/);
    const posted = page.waitForResponse(target);
    await page.evaluate("document.getElementById('f').submit()");
    expect((await posted).status()).toBeGreaterThanOrEqual(400);
    expect(await isHeld()).toBe(false);
  });
});

async function serve(body: string): Promise<AsyncDisposable & { url: string }> {
  const server = createServer((_request, response) => {
    response.writeHead(200, { 'content-type': 'text/html' }).end(`<!doctype html><title>x</title>${body}`);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  // Another site to the browser: by its name, not by its port only.
  const url = `http://localhost:${(server.address() as AddressInfo).port}/`;
  return {
    url,
    [Symbol.asyncDispose]: () => new Promise((resolve) => server.close(() => resolve())),
  };
}
