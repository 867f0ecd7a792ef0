/** One receiver of one run's notices: what it has not been told yet, and how it is tried again when it does not answer. */
import type { RunRecord } from '../domain/run-record.ts';
import type { NoticeChannel, NoticeTopic } from '../domain/wave.ts';
import type { Lease } from '../state/lease.ts';
import { createNoticeMarks, type NoticeMark } from '../state/notice-marks.ts';
import type { State } from '../state/state.ts';
import { approvalWanted, windowAtRisk } from './conditions.ts';
import { deliver, nameChannel } from './deliver.ts';
import { bundle, type Happening, happeningOf } from './notice.ts';

export type Receiver = {
  /** Tells it what is due, and marks that. Rejects only where Redis, or the lease, is lost. */
  tell(run: RunRecord, signal: AbortSignal): Promise<void>;
};

export type ReceiverOptions = {
  state: State;
  lease: Lease;
  run: string;
  channel: NoticeChannel;
  /** Among the wave's. */
  place: number;
  bundleMs: number;
  retryMs: number;
};

/** As long as the run is there: nobody else will tell it. */
const MAX_DELAY_MS = 300_000;
/** Looking which machines are not proven reads all records of the run. */
const RISK_EVERY_MS = 30_000;

export function createReceiver(options: ReceiverOptions): Receiver {
  const { state, lease, run: id, channel, place, bundleMs, retryMs } = options;
  const marks = createNoticeMarks(state.redis);
  const topics = new Set<NoticeTopic>(channel.on);
  let mark: NoticeMark | null = null;
  let failures = 0;
  let notBefore = 0;
  let riskNotBefore = 0;
  /** Delivered, and not yet behind the mark, since something else of the same look was not. */
  const delivered = new Set<string>();
  const refused = new Set<string>();

  const write = async (next: NoticeMark): Promise<void> => {
    await marks.write({ run: id, channel: place, lease }, next);
    mark = next;
  };

  const comesBack = async (now: NoticeMark): Promise<NoticeMark> => {
    failures = 0;
    if (now.awaySince === null) return now;
    await state.events.append(remark(id, 'info', `Notices reach ${nameChannel(channel)} again.`));
    return { ...now, awaySince: null };
  };

  const goesAway = async (now: NoticeMark, why: Error): Promise<void> => {
    notBefore = performance.now() + Math.min(MAX_DELAY_MS, retryMs * 2 ** Math.min(failures, 16));
    failures += 1;
    if (now.awaySince !== null) return;
    const message = `Notices do not reach ${nameChannel(channel)}: ${describeFailure(why)}. They are kept and tried again; see that it can be reached from where \`landfall up\` runs.`;
    await state.events.append(remark(id, 'warn', message));
    await write({ ...now, awaySince: await state.clock.now() });
  };

  /** The others have got it: sent again, it would come to them for ever. */
  const tellOfRefused = async (addresses: readonly string[]): Promise<void> => {
    const unknown = addresses.filter((address) => !refused.has(address));
    for (const address of unknown) refused.add(address);
    if (unknown.length > 0)
      await state.events.append(
        remark(
          id,
          'warn',
          `Notices do not reach ${unknown.join(', ')}: ${nameChannel(channel)} refuses to send there.`,
        ),
      );
  };

  /** Those of one look, by topic. Throws where the receiver did not take one. */
  const hand = async (run: RunRecord, happened: readonly Happening[], signal: AbortSignal): Promise<void> => {
    const untold = happened.filter((each) => !delivered.has(each.id));
    for (const [, [first, ...rest]] of Map.groupBy(untold, ({ topic }) => topic)) {
      if (first === undefined) continue;
      await tellOfRefused(await deliver(bundle(run, [first, ...rest]), channel, signal));
      for (const each of [first, ...rest]) delivered.add(each.id);
    }
  };

  const conditions = async (run: RunRecord, told: readonly string[]): Promise<Happening[]> => {
    const now = await state.clock.now();
    const found = topics.has('approval-wanted') ? [approvalWanted(run, now)] : [];
    if (topics.has('window-at-risk') && performance.now() >= riskNotBefore) {
      const risk = await windowAtRisk({ state, run }, now);
      found.push(risk);
      if (risk === null || told.includes(risk.id)) riskNotBefore = performance.now() + RISK_EVERY_MS;
    }
    return found.filter((each) => each !== null).filter((each) => !told.includes(each.id));
  };

  return {
    async tell(run, signal) {
      if (performance.now() < notBefore) return;
      const before = mark ?? (await marks.read(id, place));
      mark = before;
      const { happened, last } = await readSince(state, { run: id, cursor: before.cursor, topics });
      const now = await state.clock.now();
      const isDue = happened.length > 0 && now - (happened[0]?.at ?? now) >= bundleMs;
      const due = isDue ? happened : [];
      const current = await conditions(run, before.told);
      // Nothing of what is left waits to be bundled: nobody need read it again.
      const cursor = isDue || happened.length === 0 ? last : before.cursor;
      try {
        await hand(run, [...current, ...due], signal);
      } catch (error) {
        signal.throwIfAborted();
        return await goesAway(before, error as Error);
      }
      const told = [...before.told, ...current.map((each) => each.id)];
      if (cursor === before.cursor && current.length === 0) return;
      const hasTold = current.length + due.length > 0;
      await write({ ...(hasTold ? await comesBack(before) : before), cursor, told });
      delivered.clear();
    },
  };
}

async function readSince(
  state: State,
  { run, cursor, topics }: { run: string; cursor: string; topics: ReadonlySet<NoticeTopic> },
): Promise<{ happened: Happening[]; last: string }> {
  const counts = await state.machines.counts(run);
  const happened: Happening[] = [];
  let last = cursor;
  for await (const event of state.events.readAll(run, cursor)) {
    last = event.id;
    const happening = happeningOf(event, counts);
    if (happening !== null && topics.has(happening.topic)) happened.push(happening);
  }
  return { happened, last };
}

function remark(run: string, level: 'info' | 'warn', message: string) {
  return { type: 'remark', run, machine: null, level, message } as const;
}

/** Servers may say several lines. */
function describeFailure({ message }: Error): string {
  return message.split('\n')[0]?.replace(/\.$/, '') ?? '';
}
