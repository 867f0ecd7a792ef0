import { beforeEach, describe, expect, it } from 'vitest';
import type { Artifact, LandingCheck, Observation, Proof } from '../../src/domain/landing.ts';
import type { MachineRecord } from '../../src/domain/machine-record.ts';
import type { ProofPolicy } from '../../src/domain/wave.ts';
import { runStep } from '../../src/stages/run-step.ts';
import { createFakeEvidence, type FakeEvidence } from '../fakes/evidence.ts';
import { createJob, createMachine, createRecord } from '../fakes/machine.ts';
import { createDurableState, createManualClock, type DurableState } from '../fakes/step-context.ts';
import { createFakeTarget, type FakeTarget, LANDING } from '../fakes/target.ts';
import { type Attempt, createAttempt } from './attempt.ts';

const CONSOLE = 'run-1/web01/console.txt';
const SCREENSHOT = 'run-1/web01/screenshot.png';
const PROOF = 'run-1/web01/proof.json';
const PICTURE = new Uint8Array([0x89, 0x50, 0x4e, 0x47]);
const OK: LandingCheck = { name: 'system', state: 'ok', detail: '' };
const PENDING: LandingCheck = { name: 'instance', state: 'pending', detail: 'initializing' };
const ARTIFACT: Artifact = {
  disk: '0',
  kind: 'fake',
  container: 'raw',
  bytes: 900,
  ref: {},
  digests: [{ algorithm: 'crc32', value: '00000000', isConfirmed: true }],
};

let clock: ReturnType<typeof createManualClock>;
let state: DurableState;
let target: FakeTarget;
let evidence: FakeEvidence;
let record: MachineRecord;

beforeEach(() => {
  clock = createManualClock();
  state = createDurableState();
  target = createFakeTarget();
  evidence = createFakeEvidence();
  record = landed({ expect: ['login:', 'disk 1: [0-9a-f]{4}'] });
});

function landed(proof: Partial<ProofPolicy>): MachineRecord {
  const fresh = createRecord({ machine: createMachine({ diskBytes: 1000 }), proof });
  return { ...fresh, landing: LANDING, artifacts: { '0': ARTIFACT } };
}

function attempt(): Attempt {
  return createAttempt({ record, state, target, evidence, clock, job: createJob('validate') });
}

function see(observation: Partial<Observation>): void {
  target.observation = { state: 'running', checks: [OK], console: '', screenshot: PICTURE, ...observation };
}

const GOOD_CONSOLE = 'booting\r\ndisk 1: 0a1b\r\n\u001b[1mweb01 login:\u001b[0m ';

function readProof(): Proof {
  return JSON.parse(evidence.text(PROOF) ?? 'null') as Proof;
}

async function failure(): Promise<unknown> {
  return runStep(attempt()).then(
    () => null,
    (error: unknown) => error,
  );
}

describe('whoever looks on', () => {
  it('is shown what is new at a look, and nothing where nothing is', async () => {
    const looks = [attempt(), attempt(), attempt()] as const;
    see({ console: 'boot\x1b[1ming\r\n', screenshot: null });
    await runStep(looks[0]);
    await runStep(looks[1]);
    see({ console: 'booting\r\n' });
    await runStep(looks[2]);
    expect(looks.map(({ context }) => context.shown)).toEqual([
      [{ landing: LANDING.id, console: 'booting\n', screenshot: null }],
      [],
      [{ landing: LANDING.id, console: null, screenshot: PICTURE }],
    ]);
  });
});

describe('a landing that comes up', () => {
  it('is proven once checks are ok and every pattern met a line', async () => {
    see({ console: GOOD_CONSOLE });
    expect(await runStep(attempt())).toEqual({ kind: 'done', value: { stage: 'validate', proof: PROOF } });
    expect(readProof()).toMatchObject({
      run: 'run-1',
      machine: 'web01',
      landing: LANDING,
      consoleLines: ['web01 login:', 'disk 1: 0a1b'],
      consoleFile: CONSOLE,
      screenshotFile: SCREENSHOT,
      checks: [OK],
      disks: [{ disk: '0', bytes: 1000, uploadedBytes: 900, digests: ARTIFACT.digests }],
      provenAt: await clock.now(),
    });
    expect(evidence.text(CONSOLE)).toBe('booting\ndisk 1: 0a1b\nweb01 login:\n');
    expect(evidence.files.get(SCREENSHOT)).toEqual(Buffer.from(PICTURE));
  });

  it('tells the time of every stage, validate with its end', async () => {
    const steps = Object.fromEntries(
      Object.entries(record.steps).map(([key, step]) => {
        const isDone = key !== 'validate' && key !== 'admit';
        const startedAt = key === 'admit' ? null : 100;
        return [key, { ...step, try: 2, startedAt, endedAt: isDone ? 200 : null }];
      }),
    );
    record = { ...record, steps };
    see({ console: GOOD_CONSOLE });
    await runStep(attempt());
    expect(readProof().stages).toEqual([
      ...['export/0', 'convert', 'upload/0', 'import'].map((step) => ({
        step,
        startedAt: 100,
        endedAt: 200,
        tries: 2,
      })),
      { step: 'validate', startedAt: 100, endedAt: await clock.now(), tries: 2 },
    ]);
  });

  it('is waited for while a check or a pattern is missing, and the note says for what', async () => {
    see({ console: 'web01 login:', checks: [OK, PENDING] });
    expect(await runStep(attempt())).toEqual({
      kind: 'wait',
      afterMs: 1_000,
      note: 'waiting for /disk 1: [0-9a-f]{4}/ on its console, check "instance" (pending: initializing)',
    });
    see({ console: GOOD_CONSOLE, checks: [OK, PENDING] });
    expect((await runStep(attempt())).kind).toBe('wait');
    see({ console: GOOD_CONSOLE });
    expect((await runStep(attempt())).kind).toBe('done');
  });

  it('is waited for while it is starting, whatever its console says', async () => {
    see({ console: GOOD_CONSOLE, state: 'starting' });
    expect(await runStep(attempt())).toMatchObject({
      kind: 'wait',
      note: expect.stringContaining('starting'),
    });
  });

  it('keeps a line that the target has let go of meanwhile', async () => {
    see({ console: 'disk 1: 0a1b' });
    await runStep(attempt());
    see({ console: 'web01 login:' });
    expect((await runStep(attempt())).kind).toBe('done');
    expect(readProof().consoleLines).toEqual(['web01 login:', 'disk 1: 0a1b']);
  });

  it('looks ever more seldom, and never later than the deadline', async () => {
    record = landed({ expect: ['login:'], deadlineSeconds: 100 });
    see({ console: '' });
    const waits: number[] = [];
    for (const elapsedMs of [0, 40_000, 59_500]) {
      clock.advance(elapsedMs);
      const outcome = await runStep(attempt());
      if (outcome.kind === 'wait') waits.push(outcome.afterMs);
    }
    expect(waits).toEqual([1_000, 4_000, 500]);
  });

  it('waits up to 20 s for a screenshot and then goes on without', async () => {
    see({ console: GOOD_CONSOLE, screenshot: null });
    expect(await runStep(attempt())).toMatchObject({ kind: 'wait', note: 'waiting for a screenshot' });
    clock.advance(19_000);
    expect(await runStep(attempt())).toMatchObject({ kind: 'wait' });
    clock.advance(1_000);
    expect((await runStep(attempt())).kind).toBe('done');
    expect(readProof().screenshotFile).toBeNull();
  });

  it('writes the same proof when the step runs twice', async () => {
    see({ console: GOOD_CONSOLE });
    await runStep(attempt());
    const first = readProof();
    await runStep(attempt());
    expect(readProof()).toEqual(first);
  });

  it('writes to the evidence store only what is new', async () => {
    see({ console: 'booting' });
    for (let look = 0; look < 3; look += 1) await runStep(attempt());
    expect([evidence.puts.get(CONSOLE), evidence.puts.get(SCREENSHOT)]).toEqual([1, 1]);
    see({ console: 'booting\nmore' });
    await runStep(attempt());
    expect(evidence.puts.get(CONSOLE)).toBe(2);
  });

  it('is not proven while the proof cannot be written', async () => {
    see({ console: GOOD_CONSOLE });
    evidence.failure = new Error('evidence is away');
    await expect(runStep(attempt())).rejects.toThrow('evidence is away');
    evidence.failure = null;
    expect((await runStep(attempt())).kind).toBe('done');
    expect(evidence.text(CONSOLE)).toContain('login:');
  });
});

describe('a landing that fails', () => {
  it('is given up at once on a panic, with its text, the remedy and the evidence', async () => {
    see({
      console: 'Loading\n[ 1.0] Kernel panic - not syncing: VFS: Unable to mount root fs',
      checks: [PENDING],
    });
    const error = await failure();
    expect(error).toMatchObject({
      code: 'boot-failed',
      retryable: false,
      context: {
        line: '[ 1.0] Kernel panic - not syncing: VFS: Unable to mount root fs',
        screenshot: `/evidence/${SCREENSHOT}`,
      },
    });
    const { message } = error as Error;
    expect(message).toContain(
      'web01 (i-1) did not boot: the kernel panicked because it could not mount its root',
    );
    expect(message).toContain('initramfs');
    expect(message).toContain('landfall discard run-1 web01');
    expect(message).toContain('  Loading');
    expect(message).toContain(`/evidence/${CONSOLE}`);
    expect(evidence.text(CONSOLE)).toContain('Kernel panic');
    expect(evidence.files.has(SCREENSHOT)).toBe(true);
    expect(evidence.files.has(PROOF)).toBe(false);
  });

  it('is given up on a panic even when all that was expected was seen', async () => {
    see({ console: `${GOOD_CONSOLE}\nKernel panic - not syncing: hung` });
    expect(await failure()).toMatchObject({ code: 'boot-failed' });
  });

  it('is given up on what the wave refuses', async () => {
    record = landed({ expect: ['login:'], refuse: ['^FAIL'] });
    see({ console: 'FAIL data disk is missing' });
    expect(await failure()).toMatchObject({
      code: 'boot-failed',
      message: expect.stringContaining('FAIL data disk is missing'),
    });
  });

  it.each(['stopped', 'gone'] as const)('is given up when it is %s', async (ended) => {
    see({ state: ended, console: ended === 'gone' ? '' : 'reboot: Power down', screenshot: null });
    expect(await failure()).toMatchObject({ code: 'boot-failed', retryable: false });
  });

  it('leaves the last console of a landing that vanished', async () => {
    see({ console: 'booting' });
    await runStep(attempt());
    see({ state: 'gone', console: '', screenshot: null });
    expect(await failure()).toMatchObject({ message: expect.stringContaining(`/evidence/${CONSOLE}`) });
    expect(evidence.text(CONSOLE)).toBe('booting\n');
  });

  it('times out at the deadline counted from the first look, with what was missing', async () => {
    see({ console: 'web01 login:\nidle', checks: [PENDING] });
    await runStep(attempt());
    clock.advance(59_000);
    expect((await runStep(attempt())).kind).toBe('wait');
    clock.advance(1_000);
    const error = await failure();
    expect(error).toMatchObject({ code: 'boot-timeout', retryable: false });
    const { message } = error as Error;
    expect(message).toContain('within 60 s');
    expect(message).toContain('/disk 1: [0-9a-f]{4}/');
    expect(message).toContain('check "instance" (pending: initializing)');
    expect(message).toContain('  idle');
    expect(message).toContain(`Screenshot: /evidence/${SCREENSHOT}`);
  });

  it('waits until the deadline for a console that stays empty', async () => {
    see({ console: '' });
    await runStep(attempt());
    clock.advance(60_000);
    expect(await failure()).toMatchObject({
      code: 'boot-timeout',
      message: expect.stringContaining('Its console is empty.'),
    });
  });

  it('gets a deadline of its own when an operator retries after a timeout', async () => {
    see({ console: '' });
    await runStep(attempt());
    clock.advance(60_000);
    expect(await failure()).toMatchObject({ code: 'boot-timeout' });
    expect((await runStep(attempt())).kind).toBe('wait');
  });

  it('takes nothing that was seen of another landing for its own', async () => {
    see({ console: 'disk 1: 0a1b' });
    await runStep(attempt());
    clock.advance(50_000);
    record = { ...record, landing: { ...LANDING, id: 'i-2' } };
    see({ console: 'web01 login:' });
    expect((await runStep(attempt())).kind).toBe('wait');
    clock.advance(59_000);
    expect((await runStep(attempt())).kind).toBe('wait');
  });

  it('is told even when its evidence cannot be kept', async () => {
    evidence.failure = new Error('evidence is away');
    see({ console: 'No bootable device.' });
    const input = attempt();
    await expect(runStep(input)).rejects.toMatchObject({ code: 'boot-failed' });
    expect(input.context.logs).toContainEqual(expect.objectContaining({ level: 'warn' }));
  });
});
