/** Turns domains off and on, and believes only what libvirt says of their state afterwards. */
import { setTimeout as sleep } from 'node:timers/promises';
import { LandfallError } from '../../../src/domain/errors.ts';
import type { ShutDownOptions, ShutDownOutcome } from '../../../src/domain/ports.ts';
import { asGone, type DomainStatus, type NamedDomain, powerStateOf, readStatus } from './domain-status.ts';
import type { Virsh } from './virsh.ts';
import { isAway, isMonitorLost } from './virsh-failure.ts';

type Wanted = { virsh: Virsh; domain: NamedDomain; signal: AbortSignal };

const POLL_MS = 500;
/** A guest that is still booting does not hear the first press of its power button; a second one hurts nobody. */
const ASK_AGAIN_MS = 30_000;
/** What `destroy` needs: qemu has 15 s to end, and is killed then. */
const FORCE_TIMEOUT_MS = 60_000;
const START_TIMEOUT_MS = 60_000;
/** One in a hundred starts that fail loses its reason on a busy host. */
const MAX_STARTS = 3;

/** Throws `source-not-off`, `source-changed` and what virsh.ts throws. */
export async function shutDown(wanted: Wanted, options: ShutDownOptions): Promise<ShutDownOutcome> {
  const { virsh, domain, signal } = wanted;
  const before = await readStatus(virsh, domain, { signal });
  refuseTransient(before, domain);
  if (powerStateOf(before, domain) === 'off') return 'already';
  const last = await askUntilOff(wanted, options.graceMs);
  if (!last.isActive) return requireOff(last, domain, 'graceful');
  if (!options.force) throw stillOn(domain, last, options.graceMs);
  await act(wanted, { args: ['destroy', domain.uuid], attempted: `Cutting off ${domain.name}` });
  const cut = await pollUntil(wanted, {
    deadlineMs: FORCE_TIMEOUT_MS,
    isReached: ({ isActive }) => !isActive,
  });
  if (cut.isActive) throw stillOn(domain, cut, FORCE_TIMEOUT_MS);
  return requireOff(cut, domain, 'forced');
}

/** Throws `conflict` where something holds its disks, and what virsh.ts throws. */
export async function powerOn(wanted: Wanted): Promise<void> {
  const { virsh, domain, signal } = wanted;
  const before = await readStatus(virsh, domain, { signal });
  if (!before.isActive) {
    await start(wanted);
  } else if (before.state === 'paused') {
    await act(wanted, { args: ['resume', domain.uuid], attempted: `Resuming ${domain.name}` });
  }
  const isReached = ({ isActive, state }: DomainStatus) => isActive && RUNNING.has(state);
  const after = await pollUntil(wanted, { deadlineMs: START_TIMEOUT_MS, isReached });
  if (isReached(after)) return;
  throw new LandfallError({
    code: 'tool-failed',
    message: `${domain.name} was started at ${virsh.uri}, and is ${after.state} after ${START_TIMEOUT_MS / 1000} s. Look at its console, and into libvirt's log of it.`,
    retryable: true,
    context: { machine: domain.name, state: after.state },
  });
}

/** Only libvirt's account of what qemu said tells a held disk from a broken machine: it is asked for again where it got lost. */
async function start(wanted: Wanted): Promise<void> {
  const command = { args: ['start', wanted.domain.uuid], attempted: `Starting ${wanted.domain.name}` };
  for (let attempt = 1; ; attempt++) {
    try {
      return await act(wanted, command);
    } catch (error) {
      if (attempt === MAX_STARTS || !isMonitorLost(error)) throw error;
    }
  }
}

const RUNNING: ReadonlySet<string> = new Set(['running', 'idle', 'no state']);

/** libvirt asks the guest's agent where there is one, else presses the power button (ACPI). */
async function askUntilOff(wanted: Wanted, graceMs: number): Promise<DomainStatus> {
  const { domain } = wanted;
  const startedAt = performance.now();
  for (;;) {
    await act(wanted, { args: ['shutdown', domain.uuid], attempted: `Shutting ${domain.name} down` });
    const leftMs = Math.max(0, graceMs - (performance.now() - startedAt));
    const deadlineMs = Math.min(ASK_AGAIN_MS, leftMs);
    const status = await pollUntil(wanted, { deadlineMs, isReached: ({ isActive }) => !isActive });
    if (!status.isActive || leftMs <= ASK_AGAIN_MS) return status;
  }
}

/** A command that another one overtook (it is off already, it runs already) is no failure: the state decides. */
async function act({ virsh, domain, signal }: Wanted, command: { args: string[]; attempted: string }) {
  try {
    await virsh.run(command.args, { attempted: command.attempted, signal });
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof LandfallError && OVERTAKEN.test(error.message)) return;
    throw asGone(error, { virsh, domain });
  }
}

const OVERTAKEN = /domain is not running|already active|already running|domain is already/i;

/** The state at which it was reached, or the last one. A libvirt that is away may come back until the deadline. */
async function pollUntil(
  { virsh, domain, signal }: Wanted,
  { deadlineMs, isReached }: { deadlineMs: number; isReached: (status: DomainStatus) => boolean },
): Promise<DomainStatus> {
  const startedAt = performance.now();
  for (;;) {
    const isLast = performance.now() - startedAt >= deadlineMs;
    try {
      const status = await readStatus(virsh, domain, { signal });
      if (isReached(status) || isLast) return status;
    } catch (error) {
      if (isLast || !isAway(error)) throw error;
    }
    await sleep(POLL_MS, undefined, { signal }).catch(() => signal.throwIfAborted());
  }
}

function requireOff(status: DomainStatus, domain: NamedDomain, outcome: ShutDownOutcome): ShutDownOutcome {
  powerStateOf(status, domain);
  return outcome;
}

function refuseTransient(status: DomainStatus, { name }: NamedDomain): void {
  if (status.isPersistent) return;
  throw new LandfallError({
    code: 'preflight-refused',
    message: `${name} is transient: libvirt forgets it when it is off, so it could not be started again. Make it persistent first: \`virsh dumpxml ${name} > ${name}.xml && virsh define ${name}.xml\`.`,
    context: { machine: name },
  });
}

function stillOn({ name }: NamedDomain, { state }: DomainStatus, graceMs: number): LandfallError {
  const why =
    state === 'paused' || state === 'pmsuspended'
      ? `It is ${state}, so its guest hears nothing: \`virsh resume ${name}\` (or \`dompmwakeup\`) first.`
      : 'Its guest may have no agent and ignore the power button, or need longer: shut it down from within, or let the wave force it.';
  return new LandfallError({
    code: 'source-not-off',
    message: `${name} was asked to shut down and is still ${state} after ${Math.round(graceMs / 1000)} s. ${why}`,
    context: { machine: name, state },
  });
}
