/** The verdict of the stage `validate` over real guests at the sandbox's Azure: what an operator is told, and what is kept. */
import { PNG } from 'pngjs';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { azureTarget } from '../../../../adapters/targets/azure/azure.ts';
import { landingOf } from '../../../../adapters/targets/azure/landing.ts';
import type { LandfallError } from '../../../../src/domain/errors.ts';
import type { Landing } from '../../../../src/domain/landing.ts';
import { runStep } from '../../../../src/stages/run-step.ts';
import { createFakeEvidence, type FakeEvidence } from '../../../fakes/evidence.ts';
import { createJob, createRecord } from '../../../fakes/machine.ts';
import { createDurableState, createManualClock } from '../../../fakes/step-context.ts';
import { GROUP } from '../../../sandbox/azure/fixture.ts';
import { createAttempt } from '../../../stages/attempt.ts';
import { machineWith } from '../machines.ts';
import { attemptOf, type MachineGround, openMachineGround } from './machine-ground.ts';

const DEADLINE_SECONDS = 120;
const SCREENSHOT = 'run-1/web01/screenshot.png';

let ground: MachineGround;

beforeAll(async () => {
  ground = await openMachineGround({ limits: { concurrentBoots: 1, guestMemoryMib: 128 } });
}, 60_000);
afterEach(async () => {
  for (const run of ['silent', 'off', 'panic', 'holder', 'mute']) await ground.removeAll(run);
}, 60_000);
afterAll(() => ground[Symbol.asyncDispose](), 60_000);

/** Looks until the deadline of the wave passed, by a clock of its own. */
async function validate(
  landing: Landing,
): Promise<{ notes: string[]; error: LandfallError; evidence: FakeEvidence }> {
  const { url, subscriptionId, location } = ground.fixture.sandbox;
  const options = { subscription: subscriptionId, resourceGroup: GROUP, location, endpoint: url };
  const environment = { waveFolder: '.', scratchFolder: '.', cacheFolder: '.' };
  const target = azureTarget.create(azureTarget.options.parse(options), environment);
  const proof = { expect: ['login:'], refuse: [], deadlineSeconds: DEADLINE_SECONDS };
  const record = { ...createRecord({ machine: machineWith(), proof }), landing };
  const [clock, state, evidence] = [createManualClock(), createDurableState(), createFakeEvidence()];
  const notes: string[] = [];
  for (let look = 0; look < 50; look += 1) {
    const attempt = createAttempt({ record, state, target, evidence, clock, job: createJob('validate') });
    const outcome = await runStep(attempt).catch((error: unknown) => error as LandfallError);
    if (outcome instanceof Error) return { notes, error: outcome, evidence };
    if (outcome.kind === 'done') throw new Error('it was proven');
    notes.push(outcome.note);
    clock.advance(Math.max(outcome.afterMs, 10_000));
  }
  throw new Error(`the deadline did not count: ${notes.at(-1)}`);
}

describe('a guest', () => {
  test('whose console stays silent fails after the wave’s deadline, with a picture of its screen', async () => {
    const context = attemptOf('silent');
    const landing = await ground.land(await ground.prepare(context, { text: '' }), context);
    const { notes, error, evidence } = await validate(landing);
    expect(notes.at(-1)).toBe('waiting for /login:/ on its console');
    expect(error).toMatchObject({
      code: 'boot-timeout',
      message: expect.stringMatching(
        /web01 \(web01\) did not prove itself within 120 s: waiting for \/login:\/ on its console.*console=ttyS0/,
      ),
      context: { landing: 'web01', screenshot: `/evidence/${SCREENSHOT}` },
    });
    expect(error.message).toContain(`Screenshot: /evidence/${SCREENSHOT}`);
    const { width, height } = PNG.sync.read(evidence.files.get(SCREENSHOT) ?? Buffer.alloc(0));
    expect(width * height).toBeGreaterThan(100_000);
  }, 60_000);

  test('that powers itself off has ended, with its last words', async () => {
    const context = attemptOf('off');
    const work = await ground.prepare(context, { text: 'nothing to do here\n', end: 'power-off' });
    const landing = await ground.land(work, context);
    await expect
      .poll(async () => (await ground.observe(landing, attemptOf('off'))).state, { timeout: 30_000 })
      .toBe('stopped');
    const { error } = await validate(landing);
    expect(error).toMatchObject({ code: 'boot-failed' });
    // The firmware writes its dots into the same line, as it likes.
    expect(error.message).toMatch(/stopped before it was proven[\s\S]*thing to do here/);
  }, 60_000);

  test('that panics is given up at once, with the line', async () => {
    const context = attemptOf('panic');
    const text = '\nKernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)\n';
    const landing = await ground.land(await ground.prepare(context, { text }), context);
    await expect
      .poll(async () => (await ground.observe(landing, attemptOf('panic'))).console, { timeout: 30_000 })
      .toContain('Kernel panic');
    const { notes, error } = await validate(landing);
    expect(notes).toEqual([]);
    expect(error).toMatchObject({ code: 'boot-failed' });
    expect(error.message).toContain(`Its console says: ${text.trim()}`);
  }, 60_000);
});

describe('a virtual machine that never reports', () => {
  test('is waited for by import, and fails validate after the wave’s deadline', async () => {
    // The only place to boot is taken by a guest that says nothing.
    const first = attemptOf('holder', createDurableState(), 'holder');
    await ground.land(await ground.prepare(first, { text: '' }), first);
    const context = attemptOf('mute');
    const work = await ground.prepare(context, {});
    const waits = [];
    for (let call = 0; call < 3; call += 1) waits.push(await ground.step(work, context));
    expect(waits).toMatchObject([
      { kind: 'wait', note: 'virtual machine requested' },
      { kind: 'wait', note: 'virtual machine creating' },
      { kind: 'wait', note: 'virtual machine creating' },
    ]);
    const { vmId = '' } = await ground.fixture.compute.virtualMachines.get(GROUP, 'web01');
    const landing = landingOf({
      resourceGroup: GROUP,
      location: ground.fixture.sandbox.location,
      virtualMachine: 'web01',
      vmId,
      networkInterface: '',
      subnet: '',
      privateIp: null,
      disks: {},
      snapshots: {},
      quarantineGroup: '',
      group: '',
    });
    const { error } = await validate(landing);
    expect(error).toMatchObject({
      code: 'boot-timeout',
      message: expect.stringMatching(
        /did not prove itself within 120 s: waiting for the state "running" \(it is starting\).*check "provisioning" \(pending: Provisioning creating\)/,
      ),
    });
  }, 60_000);
});
