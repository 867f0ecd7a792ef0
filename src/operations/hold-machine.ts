/** Operators' actions that must not meet on one machine (retry, discard) hold this lease; attempts hold their steps' leases. */
import { setTimeout as sleep } from 'node:timers/promises';
import { LandfallError } from '../domain/errors.ts';
import { stepKey } from '../domain/job.ts';
import type { MachineRecord } from '../domain/machine-record.ts';
import { acquireLease, LEASE_MS, type Lease } from '../state/lease.ts';
import type { State } from '../state/state.ts';

/** Throws `conflict` while somebody else holds it. */
export async function holdMachine(state: State, of: { run: string; machine: string }): Promise<Lease> {
  const reply = await acquireLease(state.redis, { ...of, step: 'operator' });
  if (reply.kind === 'held') return reply.lease;
  throw new LandfallError({
    code: 'conflict',
    message: `Somebody else is working on ${of.machine} of ${of.run} right now. Try again in a moment.`,
    retryable: true,
    context: { ...of },
  });
}

/** Takes all leases of a machine's steps: waits until attempts that have not yet heard of their end are over. */
export async function holdSteps(
  state: State,
  record: MachineRecord,
  signal: AbortSignal,
): Promise<AsyncDisposable> {
  const { run } = record;
  const machine = record.machine.name;
  await using stack = new AsyncDisposableStack();
  const deadline = performance.now() + 2 * LEASE_MS;
  for (const step of Object.values(record.steps).map(stepKey)) {
    for (;;) {
      signal.throwIfAborted();
      const reply = await acquireLease(state.redis, { run, machine, step });
      if (reply.kind === 'held') {
        stack.use(reply.lease);
        break;
      }
      if (performance.now() > deadline) throw stillWorking({ run, machine, step });
      await sleep(Math.min(reply.freeInMs, 500), undefined, { signal });
    }
  }
  const owned = stack.move();
  return { [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

function stillWorking(of: { run: string; machine: string; step: string }): LandfallError {
  return new LandfallError({
    code: 'conflict',
    message: `A worker is still busy with ${of.step} of ${of.machine} and does not end. Find it with \`landfall logs ${of.run} ${of.machine}\`, stop it, then try again.`,
    retryable: true,
    context: { ...of },
  });
}
