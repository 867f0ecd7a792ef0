/**
 * Validate looks at a landing until it is proven or has failed. Each call is one look; between looks the worker's slot is
 * free. Proven means: it runs, all the target's checks are ok, and every pattern of the wave met a console line.
 */
import { createHash } from 'node:crypto';
import type { StepOutput } from '../domain/machine-record.ts';
import type { StepOutcome } from '../domain/ports.ts';
import { bootFailed, bootTimedOut, type Look, landingEnded, listMissing } from './boot-verdict.ts';
import { findFailure } from './console-failures.ts';
import { readConsole } from './console-text.ts';
import { composeProof, proofPath } from './proof.ts';
import { forgetSighting, matchLines, openSighting, type Sighting, saveSighting } from './sighting.ts';
import { landingOf, type StepInput } from './step-input.ts';

/** Looks come every second at first, ever more seldom for a guest that takes long: a tenth of the time it took so far. */
const MIN_WAIT_MS = 1_000;
const MAX_WAIT_MS = 10_000;
/** Screenshots come late at some targets; a landing that is proven otherwise waits so long for one, no longer. */
const SCREENSHOT_GRACE_MS = 20_000;

export async function validateLanding(input: StepInput): Promise<StepOutcome<StepOutput>> {
  const { record, context } = input;
  const look = await lookAtLanding(input);
  const failure = findFailure(look.lines, record.plan.proof.refuse);
  if (failure !== null) return giveUp(input, bootFailed(look, failure));
  const { state } = look.observation;
  if (state === 'gone' || state === 'stopped') return giveUp(input, landingEnded(look));
  const now = await context.clock.now();
  const { deadlineSeconds } = record.plan.proof;
  const leftMs = look.sighting.firstSeenAt + deadlineSeconds * 1000 - now;
  if (!isProven(look)) {
    if (leftMs <= 0) return giveUp(input, bootTimedOut(look, deadlineSeconds));
    return wait({ elapsedMs: now - look.sighting.firstSeenAt, atMostMs: leftMs, note: listMissing(look) });
  }
  const screenshotMs = await screenshotWaitMs(input, look, now);
  if (screenshotMs > 0)
    return wait({ elapsedMs: 0, atMostMs: screenshotMs, note: 'waiting for a screenshot' });
  return { kind: 'done', value: { stage: 'validate', proof: await writeProof(input, look, now) } };
}

/** Observes, keeps what is seen as evidence, and takes up the lines that the wave waits for. */
async function lookAtLanding(input: StepInput): Promise<Look> {
  const { record, target, context, evidence } = input;
  const { checkpoints, clock } = context;
  const landing = landingOf(record);
  const { expect } = record.plan.proof;
  const before = await openSighting({
    checkpoints,
    landing,
    patternCount: expect.length,
    now: await clock.now(),
  });
  const observation = await target.observe(landing, context);
  const lines = readConsole(observation.console);
  const matched = matchLines(before, { lines, expect });
  const sighting = await keepEvidence(input, {
    sighting: matched,
    lines,
    screenshot: observation.screenshot,
  });
  if (JSON.stringify(sighting) !== JSON.stringify(before)) await saveSighting(checkpoints, sighting);
  const locate = (file: 'console.txt' | 'screenshot.png'): string => evidence.locate(proofPath(record, file));
  return {
    record,
    observation,
    lines,
    sighting,
    consoleAt: sighting.consoleDigest === null ? null : locate('console.txt'),
    screenshotAt: sighting.screenshotDigest === null ? null : locate('screenshot.png'),
  };
}

/**
 * Kept at every look that shows something new: a landing that vanishes later leaves its last words. Evidence that cannot
 * be written does not stop the looking; the proof itself must be.
 */
async function keepEvidence(
  { record, evidence, context }: StepInput,
  seen: { sighting: Sighting; lines: readonly string[]; screenshot: Uint8Array | null },
): Promise<Sighting> {
  const { sighting, lines, screenshot } = seen;
  const text = consoleFile(lines);
  // An emptied console (the landing is gone) must not overwrite what was seen before.
  const consoleDigest = text === '' ? sighting.consoleDigest : digestOf(text);
  const screenshotDigest = screenshot === null ? sighting.screenshotDigest : digestOf(screenshot);
  const isConsoleNew = consoleDigest !== sighting.consoleDigest;
  const isScreenshotNew = screenshot !== null && screenshotDigest !== sighting.screenshotDigest;
  if (isConsoleNew || isScreenshotNew)
    context.show({
      landing: sighting.landing,
      console: isConsoleNew ? text : null,
      screenshot: isScreenshotNew ? screenshot : null,
    });
  try {
    if (isConsoleNew) {
      await evidence.put(proofPath(record, 'console.txt'), text, context.signal);
    }
    if (isScreenshotNew) {
      await evidence.put(proofPath(record, 'screenshot.png'), screenshot, context.signal);
    }
  } catch (error) {
    context.signal.throwIfAborted();
    context.log('warn', `Evidence of ${record.machine.name} could not be written: ${String(error)}`);
    return sighting;
  }
  return { ...sighting, consoleDigest, screenshotDigest };
}

function isProven({ observation, sighting }: Look): boolean {
  return (
    observation.state === 'running' &&
    observation.checks.every((check) => check.state === 'ok') &&
    sighting.lines.every((line) => line !== null)
  );
}

async function screenshotWaitMs({ context }: StepInput, look: Look, now: number): Promise<number> {
  if (look.observation.screenshot !== null) return 0;
  const provenAt = look.sighting.provenAt ?? now;
  if (look.sighting.provenAt === null) {
    await saveSighting(context.checkpoints, { ...look.sighting, provenAt });
  }
  return Math.max(0, provenAt + SCREENSHOT_GRACE_MS - now);
}

async function writeProof(input: StepInput, look: Look, now: number): Promise<string> {
  const { record, evidence, context } = input;
  const { observation, sighting, lines } = look;
  await evidence.put(proofPath(record, 'console.txt'), consoleFile(lines), context.signal);
  const proof = composeProof({ record, observation, sighting, now });
  const path = proofPath(record, 'proof.json');
  await evidence.put(path, `${JSON.stringify(proof, null, 2)}\n`, context.signal);
  return path;
}

/** As it is kept: empty where the console says nothing. */
function consoleFile(lines: readonly string[]): string {
  const text = lines.join('\n').trim();
  return text === '' ? '' : `${text}\n`;
}

function digestOf(content: Uint8Array | string): string {
  return createHash('sha256').update(content).digest('hex');
}

async function giveUp({ context }: StepInput, verdict: Error): Promise<never> {
  await forgetSighting(context.checkpoints);
  throw verdict;
}

function wait(until: { elapsedMs: number; atMostMs: number; note: string }): StepOutcome<never> {
  const steadyMs = Math.min(MAX_WAIT_MS, Math.max(MIN_WAIT_MS, until.elapsedMs / 10));
  return { kind: 'wait', afterMs: Math.ceil(Math.min(steadyMs, until.atMostMs)), note: until.note };
}
