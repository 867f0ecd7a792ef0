/** Turns domains off and on, and believes only what libvirt says of their state afterwards. */
import { setTimeout as sleep } from 'node:timers/promises';
import { LandfallError } from '../../../src/domain/errors.ts';
import { asGone, type DomainStatus, type NamedDomain, powerStateOf, readStatus } from './domain-status.ts';
import type { Virsh } from './virsh.ts';
import { isAway, isMonitorLost } from './virsh-failure.ts';

type Wanted = { virsh: Virsh; domain: NamedDomain; signal: AbortSignal };

const POLL_MS = 500;
/** What `destroy` needs: qemu has 15 s to end, and is killed then. */
const CUT_OFF_TIMEOUT_MS = 60_000;
const START_TIMEOUT_MS = 60_000;
/** One in a hundred starts that fail loses its reason on a busy host. */
const MAX_STARTS = 3;

/** Asks and returns. Throws `source-not-off`, `source-changed` and what virsh.ts throws. */
export async function requestShutDown(wanted: Wanted): Promise<void> {
  const { virsh, domain, signal } = wanted;
  const before = await readStatus(virsh, domain, { signal });
  refuseTransient(before, domain);
  if (powerStateOf(before, domain) === 'off') return;
  refuseDeaf(before, domain);
  // libvirt asks the guest's agent where there is one, else presses the power button (ACPI).
  await act(wanted, { args: ['shutdown', domain.uuid], attempted: `Shutting ${domain.name} down` });
}

/** As `requestShutDown`. */
export async function cutOff(wanted: Wanted): Promise<void> {
  const { virsh, domain, signal } = wanted;
  const before = await readStatus(virsh, domain, { signal });
  refuseTransient(before, domain);
  if (powerStateOf(before, domain) === 'off') return;
  await act(wanted, { args: ['destroy', domain.uuid], attempted: `Cutting off ${domain.name}` });
  const after = await pollUntil(wanted, {
    deadlineMs: CUT_OFF_TIMEOUT_MS,
    isReached: ({ isActive }) => !isActive,
  });
  if (powerStateOf(after, domain) === 'off') return;
  throw new LandfallError({
    code: 'source-not-off',
    message: `${domain.name} was cut off at ${virsh.uri}, and is still ${after.state} after ${CUT_OFF_TIMEOUT_MS / 1000} s. Its qemu may hang on storage that is away: see \`virsh domstate --reason ${domain.name}\` and the log of its host.`,
    retryable: true,
    context: { machine: domain.name, state: after.state },
  });
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

function refuseTransient(status: DomainStatus, { name }: NamedDomain): void {
  if (status.isPersistent) return;
  throw new LandfallError({
    code: 'source-not-off',
    message: `${name} was not shut down: it is transient, so libvirt forgets it once it is off, and nothing could start it again. Make it persistent first: \`virsh dumpxml ${name} > ${name}.xml && virsh define ${name}.xml\`.`,
    context: { machine: name },
  });
}

/** A guest whose processors stand still hears neither agent nor button. */
function refuseDeaf({ state }: DomainStatus, { name }: NamedDomain): void {
  const remedy = WAKERS[state];
  if (remedy === undefined) return;
  throw new LandfallError({
    code: 'source-not-off',
    message: `${name} cannot be asked to shut down: it is ${state}, so its guest hears nothing. \`virsh ${remedy} ${name}\` wakes it; then try again.`,
    context: { machine: name, state },
  });
}

const WAKERS: Readonly<Record<string, string>> = { paused: 'resume', pmsuspended: 'dompmwakeup' };
