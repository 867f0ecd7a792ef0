/** People log in at a provider, and it does not answer in the night of the cutover. */
import { expect, test } from 'vitest';
import { openBrowserSite } from './browser-site.ts';

/** Nobody listens there. */
const PROVIDER = 'http://127.0.0.1:9/realms/acme';

test('whoever has a token comes in by it', { timeout: 60_000 }, async () => {
  await using ground = await openBrowserSite({
    people: { omar: 'operator' },
    environment: {
      LANDFALL_OIDC_ISSUER: PROVIDER,
      LANDFALL_OIDC_CLIENT_ID: 'landfall',
      LANDFALL_OIDC_ROLES: 'viewer=*',
    },
  });
  await using tab = await ground.open('/');
  const { page } = tab;
  await page.getByRole('link', { name: 'Log in at your organisation' }).click();
  await page.getByText(`The login provider ${PROVIDER} cannot be asked`).waitFor();
  await page.goBack();
  await page.getByText('With a token instead').click();
  await page.getByLabel('Token').fill(ground.site.tokenOf('omar'));
  await page.getByRole('button', { name: 'Log in' }).click();
  await page
    .getByRole('heading', { level: 1, name: 'No run yet' })
    .or(page.getByText('omar'))
    .first()
    .waitFor();
  expect(
    await page.evaluate(async () => ((await (await fetch('/api/session')).json()) as { user: unknown }).user),
  ).toEqual({
    name: 'omar',
    role: 'operator',
  });
  expect(tab.complaints).toEqual([]);
});
