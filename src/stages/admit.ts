/**
 * Admit puts a proven landing into service: from quarantine into the wave's network, once more looking that its source is
 * still off, and then waits until what the wave wants to see of it answers.
 */
import { asLandfallError, LandfallError } from '../domain/errors.ts';
import type { JsonValue } from '../domain/json.ts';
import type { Landing } from '../domain/landing.ts';
import type { StepOutput } from '../domain/machine-record.ts';
import type { StepContext, StepOutcome } from '../domain/ports.ts';
import { runHooks } from './hooks.ts';
import { type CheckVerdict, tryChecks } from './service-checks.ts';
import { requireAsExported } from './source-watch.ts';
import { tidyStaging } from './staging.ts';
import { landingOf, type StepInput } from './step-input.ts';

/** What the target admitted, and when: from then on its services have their time to answer. */
type Admission = { landing: Landing; at: number };

const ADMISSION_KEY = 'admission';
/** The landing that the target was asked to admit: from then on it may serve, whoever dies before writing down that it does. */
const ASKED_KEY = 'admission/asked';
/** Looks come every second at first, then ever more seldom: a tenth of the time it took so far. */
const MIN_WAIT_MS = 1_000;
const MAX_WAIT_MS = 10_000;

export async function admitLanding(input: StepInput): Promise<StepOutcome<StepOutput>> {
  const { context } = input;
  const mayServe = await wasAsked(input);
  const outcome = mayServe ? await asAdmitted(context, () => admit(input)) : await admit(input);
  if (outcome.kind === 'wait') return outcome;
  return await asAdmitted(context, () => serve(input, outcome.value));
}

/** Another landing of the machine is admitted anew. */
export async function forgetAdmission({ checkpoints }: StepContext): Promise<void> {
  await checkpoints.delete(ADMISSION_KEY, ASKED_KEY);
}

async function serve(input: StepInput, admission: Admission): Promise<StepOutcome<StepOutput>> {
  const { record, context } = input;
  const { landing } = admission;
  const verdicts = record.plan.proof.checks.length === 0 ? [] : await tryChecks(input, landing);
  const failed = verdicts.filter(({ failure }) => failure !== null);
  if (failed.length > 0) return await waitForServices(input, { admission, failed });
  for (const { check } of verdicts) context.log('info', `${record.machine.name} serves: ${check}.`);
  await runHooks({ ...input, record: { ...record, landing } }, 'after-landing');
  await tidyStaging(input);
  return { kind: 'done', value: { stage: 'admit', landing } };
}

/** Whatever fails from here on, the landing was in service: that decides who may roll it back. */
async function asAdmitted<T>({ signal }: StepContext, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    signal.throwIfAborted();
    const { code, message, retryable, context } = asLandfallError(error);
    const facts = { ...context, isAdmitted: true };
    throw new LandfallError({ code, message, retryable, cause: error, context: facts });
  }
}

async function admit(input: StepInput): Promise<StepOutcome<Admission>> {
  const { record, target, context } = input;
  const landing = landingOf(record);
  const saved = asAdmission(await context.checkpoints.get(ADMISSION_KEY));
  if (saved?.landing.id === landing.id) return { kind: 'done', value: saved };
  await requireAsExported(input);
  await runHooks(input, 'before-admit');
  const outcome = await askTarget(input, () => target.admit({ to: record.plan.to, landing }, context));
  if (outcome.kind === 'wait') return outcome;
  const admission = { landing: outcome.value, at: await context.clock.now() };
  await context.checkpoints.set(ADMISSION_KEY, admission);
  return { kind: 'done', value: admission };
}

/** A target that refuses has admitted nothing; that it never answered proves nothing. */
async function askTarget<T>(input: StepInput, ask: () => Promise<T>): Promise<T> {
  const { record, context } = input;
  const { checkpoints, signal } = context;
  const isFirst = !(await wasAsked(input));
  if (isFirst) await checkpoints.set(ASKED_KEY, landingOf(record).id);
  try {
    return await ask();
  } catch (error) {
    signal.throwIfAborted();
    if (isFirst && !asLandfallError(error).retryable) await checkpoints.delete(ASKED_KEY);
    throw error;
  }
}

async function wasAsked({ record, context }: StepInput): Promise<boolean> {
  return (await context.checkpoints.get(ASKED_KEY)) === landingOf(record).id;
}

async function waitForServices(
  input: StepInput,
  { admission, failed }: { admission: Admission; failed: readonly CheckVerdict[] },
): Promise<StepOutcome<never>> {
  const { record, context } = input;
  const elapsedMs = (await context.clock.now()) - admission.at;
  const { deadlineSeconds } = record.plan.proof;
  const leftMs = deadlineSeconds * 1000 - elapsedMs;
  const what = failed.map(({ check, failure }) => `${check} ${failure}`).join('; ');
  if (leftMs > 0) {
    const steadyMs = Math.min(MAX_WAIT_MS, Math.max(MIN_WAIT_MS, elapsedMs / 10));
    return { kind: 'wait', afterMs: Math.ceil(Math.min(steadyMs, leftMs)), note: what };
  }
  // A retry has the whole time again.
  await context.checkpoints.delete(ADMISSION_KEY);
  const { run, machine } = record;
  throw new LandfallError({
    code: 'check-failed',
    message: `${machine.name} (${admission.landing.id}) was admitted and does not serve after ${deadlineSeconds} s: ${what}. It runs in the wave's network: see whether its services start, and whether this worker may reach them. Then \`landfall retry ${run} ${machine.name}\` checks again, or \`landfall rollback ${run} ${machine.name}\` goes back.`,
    context: { machine: machine.name, landing: admission.landing.id },
  });
}

/** As `admit` saved it. */
function asAdmission(saved: JsonValue | null): Admission | null {
  return saved as Admission | null;
}
