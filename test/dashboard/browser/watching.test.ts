/** What operators see and do on a weekend, in a real browser. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { LandfallError } from '../../../src/domain/errors.ts';
import type { Wave } from '../../../src/domain/wave.ts';
import type { RunStep } from '../../../src/queue/attempt.ts';
import { makeRecords, makeRun, makeWave } from '../../fakes/records.ts';
import { succeed } from '../../queue/run-ground.ts';
import { type BrowserSite, openBrowserSite } from './browser-site.ts';

const HOUR = 3_600_000;

let ground: BrowserSite;
beforeAll(async () => {
  ground = await openBrowserSite();
}, 60_000);
afterAll(async () => {
  await ground?.[Symbol.asyncDispose]();
});
beforeEach(async () => {
  await ground.site.app.state.redis.flushall();
});

async function begin(id: string, names: string[], wave: Partial<Wave> = {}): Promise<void> {
  const run = makeRun(id, { ...makeWave(`wave-${id}`, names), ...wave });
  const now = Date.now();
  const window = wave.window === undefined ? null : { opensAt: now - HOUR, closesAt: now + HOUR };
  await ground.site.app.state.runs.create({ ...run, window }, makeRecords(run));
  await ground.site.app.conductor.advanceRun(id);
}

const broken = new LandfallError({
  code: 'import-failed',
  message: 'AWS gave up on app: the disk has no boot loader. Mend it, then `landfall retry`.',
});

describe('a wave', { timeout: 60_000 }, () => {
  test('is watched from its start until it landed, and what failed is found and retried, without a reload', async () => {
    let isMended = false;
    const runStep: RunStep = async (work) => {
      if (work.job.stage === 'import' && work.job.machine === 'app' && !isMended) throw broken;
      return succeed(work);
    };
    await begin('night', ['db', 'app', 'web']);
    await using tab = await ground.open('/');
    const { page } = tab;
    const headline = page.getByRole('main');
    await headline.getByText(/night/).first().waitFor();
    await using _pools = await ground.startPools(runStep);
    await headline
      .getByText(/1 in trouble/)
      .first()
      .waitFor();

    await page.getByRole('link', { name: 'night', exact: false }).first().click();
    await page.getByRole('button', { name: 'Only in trouble (1)' }).click();
    const machines = page.getByRole('table');
    expect(await machines.getByRole('link', { name: 'db', exact: true }).count()).toBe(0);
    await machines.getByRole('link', { name: 'app', exact: true }).click();
    await page.getByText('the disk has no boot loader').first().waitFor();

    isMended = true;
    await page.getByRole('button', { name: 'Retry', exact: true }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('Reason, for the audit trail').fill('change 4711');
    await dialog.getByRole('button', { name: /retry/i }).click();
    await dialog.getByText('Done, and in the audit trail.').waitFor();
    await dialog.getByRole('button', { name: 'Close', exact: true }).first().click();
    await page.getByRole('main').getByText('landed').first().waitFor();

    await page.goto(`${ground.site.url}/runs/night/audit`);
    await page.getByText('change 4711').first().waitFor();
    expect(tab.complaints).toEqual([]);
  });

  test('that waits for approval says so, and goes on once it was given', async () => {
    await begin('friday', ['db'], { isApprovalRequired: true });
    await using _pools = await ground.startPools(succeed);
    await using tab = await ground.open('/runs/friday');
    const { page } = tab;
    await page
      .getByText(/waits for approval/i)
      .first()
      .waitFor();
    await page.getByRole('button', { name: 'Approve', exact: true }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('Reason, for the audit trail').fill('the board said yes');
    // Approval is not taken back: whoever gives it types what it is for.
    await dialog.getByLabel(/^Type friday/).fill('friday');
    await dialog.getByRole('button', { name: 'Approve', exact: true }).click();
    await dialog.getByText('Done, and in the audit trail.').waitFor();
    await expect
      .poll(async () => (await ground.site.app.state.runs.get('friday'))?.status, { timeout: 15_000 })
      .toBe('landed');
    expect((await ground.site.app.state.runs.get('friday'))?.approval).toMatchObject({
      by: 'ada@ops',
      reason: 'the board said yes',
    });
  });
});

describe('a page that stays open', { timeout: 60_000 }, () => {
  test('says that it is old while the server is away, and is right again once that is back', async () => {
    await begin('long', ['db', 'app']);
    await using tab = await ground.open('/runs/long');
    const { page } = tab;
    await page.getByRole('link', { name: 'db', exact: true }).first().waitFor();
    await ground.site.stop();
    await page
      .getByText(/old|no answer|does not answer|lost/i)
      .first()
      .waitFor();
    await ground.site.startAgain();
    await using _pools = await ground.startPools(succeed);
    await page.getByText('2 of 2 landed').first().waitFor();
    expect(tab.complaints).toEqual([]);
  });

  test('says what came of an action on a run that has ended meanwhile', async () => {
    await begin('stale', ['db']);
    await using tab = await ground.open('/runs/stale');
    const { page } = tab;
    await page.getByRole('button', { name: /^Hold/ }).first().click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('Reason, for the audit trail').fill('too late');
    await using _pools = await ground.startPools(succeed);
    await expect
      .poll(async () => (await ground.site.app.state.runs.get('stale'))?.status, { timeout: 15_000 })
      .toBe('landed');
    const hold = dialog.getByRole('button', { name: 'Hold', exact: true });
    if ((await hold.count()) > 0) await hold.click();
    await dialog
      .getByText(/has ended/)
      .first()
      .waitFor();
  });
});
