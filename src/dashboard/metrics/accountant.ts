/**
 * Carries what happened in runs over to the totals. A look costs what happened since the last one, however many machines
 * there are; the first look at a long history goes through it in pieces, so that nothing else waits for it.
 */
import type { StoredEvent } from '../../domain/events.ts';
import type { State } from '../../state/state.ts';
import { BUCKET_MS } from '../../state/throughput-log.ts';
import { amountsOf, fieldName, machinesAskedFor } from './amounts.ts';

/** Of a run that is archived and counted: nothing happens in it any more. */
const COUNTED = 'all';
/** Their records are read and parsed in a few milliseconds. */
const EVENTS_AT_ONCE = 200;
/** By then whoever writes samples down has done so. */
const SAMPLE_SETTLED_MS = 2 * BUCKET_MS;

const UPLOADED = fieldName({ metric: 'landfall_uploaded_bytes_total', labels: [], part: null });

/** How far a run was counted: its events, and its samples of throughput. */
type Cursor = { eventId: string; sampleAt: number };

/** Counts what is new in all runs. Only one call at a time does anything. */
export async function countHistory(state: State): Promise<void> {
  const [ids, live, cursors] = await Promise.all([
    state.runs.list(),
    state.runs.unarchived(),
    state.metricTotals.cursors(),
  ]);
  for (const id of ids) {
    const cursor = cursors.get(id) ?? null;
    if (cursor !== COUNTED) await countRun(state, { id, cursor, isArchived: !live.includes(id) });
  }
}

type Counted = { id: string; cursor: string | null; isArchived: boolean };

async function countRun(state: State, { id, cursor, isArchived }: Counted): Promise<void> {
  let from = cursor;
  let at: Cursor = cursor === null ? { eventId: '0', sampleAt: 0 } : (JSON.parse(cursor) as Cursor);
  /** false: somebody else counts this run. */
  const carry = async (next: Cursor, amounts: ReadonlyMap<string, number>): Promise<boolean> => {
    const to = JSON.stringify(next);
    if (!(await state.metricTotals.add(id, { from, to, amounts }))) return false;
    from = to;
    at = next;
    return true;
  };
  let events: StoredEvent[] = [];
  const carryEvents = async (): Promise<boolean> => {
    const [last] = events.slice(-1);
    if (last === undefined) return true;
    const records = await state.machines.all(id, machinesAskedFor(events));
    const amounts = amountsOf(events, new Map(records.map((record) => [record.machine.name, record])));
    events = [];
    return carry({ ...at, eventId: last.id }, amounts);
  };
  for await (const event of state.events.readAll(id, at.eventId)) {
    events.push(event);
    if (events.length >= EVENTS_AT_ONCE && !(await carryEvents())) return;
  }
  if (!(await carryEvents()) || !(await carrySamples(state, { id, at, carry })) || !isArchived) return;
  await state.metricTotals.add(id, { from, to: COUNTED, amounts: new Map() });
}

async function carrySamples(
  state: State,
  counted: {
    id: string;
    at: Cursor;
    carry: (next: Cursor, amounts: ReadonlyMap<string, number>) => Promise<boolean>;
  },
): Promise<boolean> {
  const { id, at, carry } = counted;
  const settled = (await state.clock.now()) - SAMPLE_SETTLED_MS;
  const samples = (await state.throughput.read(id, at.sampleAt)).filter((sample) => sample.at < settled);
  const [last] = samples.slice(-1);
  if (last === undefined) return true;
  const rates = samples.reduce((sum, { bytesPerSecond }) => sum + bytesPerSecond, 0);
  return carry({ ...at, sampleAt: last.at }, new Map([[UPLOADED, (rates * BUCKET_MS) / 1000]]));
}
