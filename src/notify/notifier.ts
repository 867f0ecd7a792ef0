/**
 * Tells people who are not there what happens to their runs. Of all processes that schedule, the one that holds the lease
 * sends. What was told is marked after it was delivered: a crash in between tells it twice, never not at all. Receivers
 * are told side by side and apart from the runs themselves: one that does not answer delays nothing but its own notices.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { RunRecord } from '../domain/run-record.ts';
import { acquireLease, type Lease } from '../state/lease.ts';
import type { State } from '../state/state.ts';
import { within } from '../state/within.ts';
import { createReceiver, type Receiver, type ReceiverOptions } from './receiver.ts';

export type NotifierOptions = {
  state: State;
  onError: (error: Error) => void;
  /** What happens within this time is told in one message. */
  bundleMs?: number;
  lookEveryMs?: number;
  /** Before the first retry of a receiver that did not take a notice; each further one waits twice as long. */
  retryMs?: number;
};

const BUNDLE_MS = 10_000;
const LOOK_MS = 2_000;
const RETRY_MS = 2_000;
const CLOSE_MS = 1_500;
/** The end of a run that was archived at once is still told. */
const NEWEST_LOOKED_AT = 20;

export function startNotifier(options: NotifierOptions): AsyncDisposable {
  const stopping = new AbortController();
  const serving = serve(options, stopping.signal);
  return {
    async [Symbol.asyncDispose]() {
      stopping.abort();
      await within(CLOSE_MS, serving);
    },
  };
}

/** Waits for its turn, and sends until it is lost. */
async function serve(options: NotifierOptions, stopping: AbortSignal): Promise<void> {
  const { state, onError, lookEveryMs = LOOK_MS } = options;
  while (!stopping.aborted) {
    try {
      const reply = await acquireLease(state.redis, { run: '-', machine: '-', step: 'notify' });
      if (reply.kind === 'held') {
        await using lease = reply.lease;
        await send(options, { lease, signal: AbortSignal.any([stopping, lease.signal]) });
      }
    } catch (error) {
      if (!stopping.aborted) onError(error as Error);
    }
    await sleep(lookEveryMs, undefined, { signal: stopping }).catch(() => {});
  }
}

type Turn = { lease: Lease; signal: AbortSignal };

async function send(options: NotifierOptions, { lease, signal }: Turn): Promise<void> {
  const { state, onError, bundleMs = BUNDLE_MS, lookEveryMs = LOOK_MS, retryMs = RETRY_MS } = options;
  const receivers = new Map<string, readonly Receiver[]>();
  const busy = new Map<Receiver, Promise<void>>();
  while (!signal.aborted) {
    const ids = await openRuns(state);
    for (const known of receivers.keys()) if (!ids.has(known)) receivers.delete(known);
    for (const id of ids) {
      const known = receivers.get(id);
      // A wave without receivers never gets any.
      if (known?.length === 0) continue;
      const run = await state.runs.get(id);
      if (run === null) continue;
      const those = known ?? receiversOf(run, { state, lease, bundleMs, retryMs });
      receivers.set(id, those);
      for (const receiver of those) {
        if (busy.has(receiver)) continue;
        const telling = receiver
          .tell(run, signal)
          .catch((error: Error) => {
            if (!signal.aborted) onError(error);
          })
          .finally(() => busy.delete(receiver));
        busy.set(receiver, telling);
      }
    }
    await sleep(lookEveryMs, undefined, { signal }).catch(() => {});
  }
  await Promise.all(busy.values());
}

async function openRuns({ runs }: State): Promise<Set<string>> {
  const [unarchived, all] = await Promise.all([runs.unarchived(), runs.list()]);
  return new Set([...unarchived, ...all.slice(0, NEWEST_LOOKED_AT)]);
}

function receiversOf(
  { id, wave }: RunRecord,
  by: Pick<ReceiverOptions, 'state' | 'lease' | 'bundleMs' | 'retryMs'>,
): Receiver[] {
  return wave.notify.map((channel, place) => createReceiver({ run: id, channel, place, ...by }));
}
