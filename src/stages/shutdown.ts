/**
 * Shutdown turns a machine off at its source, gracefully first. Its guest is asked, and the worker's slot is free until
 * the source says that it is off; after the wave's grace it is cut off where the wave allows that.
 */
import { type ErrorCode, LandfallError } from '../domain/errors.ts';
import type { MachineRecord, StepOutput } from '../domain/machine-record.ts';
import type { Finding, LedgerEntry, StepOutcome } from '../domain/ports.ts';
import { runHooks } from './hooks.ts';
import { checkMachines } from './preflight.ts';
import {
  type Controlled,
  controlled,
  keepOffWithHost,
  leaveNote,
  POWER,
  type PowerEffect,
  powerEffect,
  rememberPower,
  settleAs,
} from './source-effects.ts';
import type { StepInput } from './step-input.ts';

/** What came before the guest was asked is not done again while it is waited for. */
export const SHUTDOWN_KEY = 'shutdown';
/** A guest that was still starting may not have heard. */
const ASK_AGAIN_MS = 30_000;
const FORGOTTEN_MS = 4 * ASK_AGAIN_MS;
/** Looks come every second at first, then ever more seldom: a tenth of the time it took so far. */
const MIN_WAIT_MS = 1_000;
const MAX_WAIT_MS = 5_000;
/** A service that did not answer is waited for; everything else that pre-flight finds is for a person. */
const AWAY: ReadonlySet<ErrorCode | undefined> = new Set(['source-unavailable', 'target-unavailable']);

export async function shutDownSource(input: StepInput): Promise<StepOutcome<StepOutput>> {
  const { context } = input;
  const there = controlled(input);
  if ((await context.checkpoints.get(SHUTDOWN_KEY)) === null) {
    await prepare(input, there);
    await context.checkpoints.set(SHUTDOWN_KEY, { isPrepared: true });
  }
  const waiting = await turnOff(input, there);
  if (waiting !== null) return waiting;
  await runHooks(input, 'after-shutdown');
  return { kind: 'done', value: { stage: 'shutdown' } };
}

async function prepare(input: StepInput, there: Controlled): Promise<void> {
  await requireReady(input);
  // A hook may well turn the machine off by itself.
  await rememberPower(there);
  await runHooks(input, 'before-shutdown');
  await keepOffWithHost(there);
  await leaveNote(there, noteFor(input.record));
}

/** Days may have passed since the wave was planned: nothing is touched that could not land. */
async function requireReady({ record, source, target, stagingFolder, context }: StepInput): Promise<void> {
  const { machine, plan, run } = record;
  const { signal } = context;
  // Tells an hypervisor that is away from one that has something to say.
  await source.powerState(machine, signal);
  const planned = [{ wave: plan, machine }];
  const findings = [
    ...(await checkMachines({ planned, target, stagingFolder, machinesAtOnce: 1 })),
    ...((await source.preflight?.(planned, signal)) ?? []),
    ...(await target.preflight(planned, signal)),
  ].filter(({ level }) => level === 'fail');
  if (findings.length === 0) return;
  const isAway = findings.every(({ code }) => AWAY.has(code));
  throw new LandfallError({
    code: (isAway ? findings[0]?.code : undefined) ?? 'preflight-refused',
    message: `${machine.name} was not shut down, since it could not land: ${findings.map(describe).join('; ')} Then \`landfall retry ${run} ${machine.name}\`.`,
    retryable: isAway,
    context: { machine: machine.name, findings: findings.length },
  });
}

function describe({ subject, message, remedy }: Finding): string {
  const found = `${subject}: ${message.replace(/\.$/, '')}.`;
  return remedy === null ? found : `${found} ${remedy}`;
}

/** null once it is off. */
async function turnOff(input: StepInput, there: Controlled): Promise<StepOutcome<never> | null> {
  const { source, machine, context } = there;
  const { ledger, signal, clock } = context;
  const state = await source.powerState(machine, signal);
  const entry = await ledger.intend(POWER);
  const effect = powerEffect(entry);
  if (state === 'off') {
    const known = effect === null ? await ledger.settle(entry, 'intended', { before: 'off' }) : entry;
    await settleAs(context, known, 'done');
    return null;
  }
  const now = await clock.now();
  // What an earlier move of this run turned off, and a person turned on again, is asked anew.
  const heardAt =
    entry.state === 'done' || effect === null || isForgotten(effect, now) ? null : effect.heardAt;
  const { graceSeconds, force } = input.record.plan.shutdown;
  const leftMs = (heardAt ?? now) + graceSeconds * 1000 - now;
  if (heardAt === null) return await ask(there, { entry, heardAt, leftMs });
  if (leftMs <= 0) {
    if (!force) throw await stillOn(input, entry);
    return await cutOff(input, { there, entry });
  }
  if (now - (effect?.askedAt ?? 0) >= ASK_AGAIN_MS) return await ask(there, { entry, heardAt, leftMs });
  return wait({ elapsedMs: now - heardAt, atMostMs: leftMs });
}

/** Nobody has looked for a while (the machine was held, its source was away): no guest is cut off for that. */
function isForgotten({ before, askedAt }: PowerEffect, now: number): boolean {
  return before === 'off' || now - (askedAt ?? 0) > FORGOTTEN_MS;
}

/** The intent is written first: whoever rolls this back must know that the guest may still be about to end. */
async function ask(
  { control, machine, context }: Controlled,
  asked: { entry: LedgerEntry; heardAt: number | null; leftMs: number },
): Promise<StepOutcome<never>> {
  const { ledger, signal, clock } = context;
  const before = { before: 'on', heardAt: asked.heardAt, askedAt: await clock.now() } as const;
  const intent = await ledger.settle(asked.entry, 'intended', before);
  await control.requestShutDown(machine, signal);
  const askedAt = await clock.now();
  await ledger.settle(intent, 'intended', { heardAt: asked.heardAt ?? askedAt, askedAt });
  return wait({ elapsedMs: askedAt - (asked.heardAt ?? askedAt), atMostMs: asked.leftMs });
}

async function cutOff(
  { record }: StepInput,
  { there, entry }: { there: Controlled; entry: LedgerEntry },
): Promise<null> {
  const { control, machine, context } = there;
  const { graceSeconds } = record.plan.shutdown;
  context.log(
    'warn',
    `${machine.name} did not end within ${graceSeconds} s and is cut off, as its wave allows.`,
  );
  // Written under the lease right before: a worker that slept through its end must not cut off what was taken back since.
  const intent = await context.ledger.settle(entry, 'intended', { how: 'cut off' });
  await control.cutOff(machine, context.signal);
  await settleAs(context, intent, 'done');
  return null;
}

/** A retry asks anew and has the whole grace again. */
async function stillOn({ record, context }: StepInput, entry: LedgerEntry): Promise<LandfallError> {
  const { run, machine, plan } = record;
  await context.ledger.settle(entry, 'intended', { heardAt: null });
  await context.checkpoints.delete(SHUTDOWN_KEY);
  return new LandfallError({
    code: 'source-not-off',
    message: `${machine.name} was asked to shut down and still runs after ${plan.shutdown.graceSeconds} s. Its guest may have no agent and ignore the power button, or need longer: shut it down from within, then \`landfall retry ${run} ${machine.name}\`. Under \`shutdown:\` a wave gives guests longer (\`grace\`) or lets them be cut off (\`force\`).`,
    context: { machine: machine.name },
  });
}

function noteFor({ run, machine }: MachineRecord): string {
  return `Turned off by Landfall to be moved (run ${run}, machine ${machine.name}). Leave it off; landfall rollback ${run} ${machine.name} turns it on again.`;
}

function wait({ elapsedMs, atMostMs }: { elapsedMs: number; atMostMs: number }): StepOutcome<never> {
  const steadyMs = Math.min(MAX_WAIT_MS, Math.max(MIN_WAIT_MS, elapsedMs / 10));
  const afterMs = Math.ceil(Math.min(steadyMs, atMostMs));
  return { kind: 'wait', afterMs, note: 'waiting for its guest to shut down' };
}
