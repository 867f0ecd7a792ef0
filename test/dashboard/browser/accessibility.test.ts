/** Every page by the rules of WCAG 2.2 AA that a machine can judge, in light and dark, on a phone and on a wall. */
import { AxeBuilder } from '@axe-core/playwright';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeRecords, makeRun, makeWave } from '../../fakes/records.ts';
import { type BrowserSite, openBrowserSite } from './browser-site.ts';

const RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'];
const PATHS = ['/', '/runs/night', '/runs/night/machines/app', '/runs/night/audit', '/workers', '/audit'];
const LOOKS = [
  { scheme: 'light', width: 390, height: 844 },
  { scheme: 'dark', width: 1920, height: 1080 },
] as const;

let ground: BrowserSite;
beforeAll(async () => {
  ground = await openBrowserSite();
  const { state, conductor } = ground.site.app;
  const run = makeRun('night', makeWave('wave', ['db', 'app', 'web']));
  const error = { code: 'boot-failed', message: 'app did not boot', retryable: false, context: {} } as const;
  const records = makeRecords(run).map((record) =>
    record.machine.name === 'app'
      ? { ...record, status: 'failed' as const, error, startedAt: 1, endedAt: 2 }
      : record,
  );
  await state.runs.create(run, records);
  await conductor.advanceRun('night');
}, 60_000);
afterAll(async () => {
  await ground?.[Symbol.asyncDispose]();
});

describe.each(LOOKS)('in $scheme, $width wide', (look) => {
  test.each(PATHS)('%s breaks no rule', { timeout: 60_000 }, async (path) => {
    await using tab = await ground.open(path, look);
    await tab.page.getByRole('heading', { level: 1 }).first().waitFor();
    expect(await judge(tab.page)).toEqual([]);
  });

  test('the dialog of an action breaks no rule, holds the focus and gives it back', {
    timeout: 60_000,
  }, async () => {
    await using tab = await ground.open('/runs/night', look);
    const { page } = tab;
    const opener = page.getByRole('button', { name: 'Hold the run' });
    await opener.focus();
    await page.keyboard.press('Enter');
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('Reason, for the audit trail').waitFor();
    expect(await judge(page)).toEqual([]);
    for (let press = 0; press < 12; press += 1) {
      await page.keyboard.press('Tab');
      const isInPage =
        "document.querySelector('main')?.contains(document.activeElement) === true && !document.querySelector('dialog')?.contains(document.activeElement)";
      expect(await page.evaluate(isInPage)).toBe(false);
    }
    await page.keyboard.press('Escape');
    await dialog.waitFor({ state: 'hidden' });
    expect(await page.evaluate('document.activeElement?.textContent')).toBe('Hold the run');
  });
});

async function judge(page: ConstructorParameters<typeof AxeBuilder>[0]['page']): Promise<string[]> {
  const { violations } = await new AxeBuilder({ page }).withTags(RULES).analyze();
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`);
}
