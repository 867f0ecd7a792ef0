/** What is told to people who are not there: which events are worth waking somebody, and what to say. Pure. */
import type { StoredEvent } from '../domain/events.ts';
import { isEnded, type MachineCounts, type RunRecord } from '../domain/run-record.ts';
import type { NoticeTopic } from '../domain/wave.ts';

/** One thing that happened. */
export type Happening = {
  topic: NoticeTopic;
  /** Names what happened: the same after a crash. */
  id: string;
  at: number;
  /** null: the run as a whole. */
  machine: string | null;
  text: string;
};

/** What a receiver gets: one thing, or several of one topic. */
export type Notice = {
  /** The same when it is sent again after a crash, as long as nothing was added to it. */
  id: string;
  topic: NoticeTopic;
  run: string;
  wave: string;
  /** null: several, or the run as a whole. */
  machine: string | null;
  machines: readonly string[];
  text: string;
  /** Of the first of them (ms since the epoch). */
  at: number;
};

const MOST_LISTED = 20;

/** null: nobody need be told. */
export function happeningOf(event: StoredEvent, counts: MachineCounts): Happening | null {
  const { id, at, run } = event;
  if (event.type === 'machine') {
    const { machine } = event;
    const told = tellMachine(event);
    return told === null ? null : { ...told, id, at, machine };
  }
  if (event.type !== 'run') return null;
  const told = tellRun(event, counts);
  return told === null ? null : { ...told, id, at, machine: null, text: `Run ${run} ${told.text}` };
}

/** What happened of one topic, as one message. */
export function bundle(run: RunRecord, happened: readonly [Happening, ...Happening[]]): Notice {
  const [first] = happened;
  const machines = [...new Set(happened.flatMap(({ machine }) => machine ?? []))];
  const listed = happened.slice(0, MOST_LISTED).map(({ text }) => text);
  const more = happened.length - listed.length;
  if (more > 0) listed.push(`and ${more} more: \`landfall status ${run.id}\` lists them.`);
  return {
    id: `${run.id}.${first.topic}.${first.id}`,
    topic: first.topic,
    run: run.id,
    wave: run.wave.name,
    machine: happened.length === 1 ? first.machine : null,
    machines,
    text: listed.join('\n'),
    at: first.at,
  };
}

/** A headline: `weekend: 3 machines failed`. */
export function headlineOf({ topic, wave, run, machines }: Notice): string {
  const [only] = machines;
  const who = machines.length > 1 ? `${machines.length} machines` : (only ?? `run ${run}`);
  return `${wave}: ${who} ${TOPIC_WORDS[topic]}`;
}

const TOPIC_WORDS: Readonly<Record<NoticeTopic, string>> = {
  failed: 'failed',
  held: 'held',
  'approval-wanted': 'waits for approval',
  'window-at-risk': 'at risk: the window closes',
  'rolled-back': 'rolled back',
  landed: 'landed',
};

function tellMachine(
  event: Extract<StoredEvent, { type: 'machine' }>,
): Pick<Happening, 'topic' | 'text'> | null {
  const { run, machine, status, error } = event;
  const why = error === null ? '' : `: ${error.message.split('\n')[0]}`;
  switch (status) {
    case 'failed':
      return { topic: 'failed', text: `${machine} failed${why} Then: \`landfall status ${run}\`.` };
    case 'rolling-back':
      // Without an error an operator wanted it.
      if (error === null) return null;
      return { topic: 'failed', text: `${machine} did not come through and is being rolled back${why}` };
    case 'held':
      return {
        topic: 'held',
        text:
          error === null
            ? `${machine} is held by an operator: \`landfall status ${run}\`.`
            : `${machine} failed and is held until somebody decides${why} Retry it, roll it back or cancel it: \`landfall retry ${run} ${machine}\`.`,
      };
    case 'rolled-back':
      return {
        topic: 'rolled-back',
        text: `${machine} was rolled back, and was seen to be at its source as before${why}`,
      };
    case 'blocked':
    case 'waiting':
    case 'moving':
    case 'landed':
    case 'cancelled':
    case 'discarded':
      return null;
    default:
      return status satisfies never;
  }
}

function tellRun(
  { run, status }: Extract<StoredEvent, { type: 'run' }>,
  counts: MachineCounts,
): Pick<Happening, 'topic' | 'text'> | null {
  const all = Object.values(counts).reduce<number>(
    (sum, count) => sum + (typeof count === 'number' ? count : 0),
    0,
  );
  switch (status) {
    case 'landed':
      return {
        topic: 'landed',
        text: `landed: all ${all} machines. \`landfall commit ${run}\` once nobody wants the way back.`,
      };
    case 'partial':
      return {
        topic: 'failed',
        text: `ended: ${counts.landed} of ${all} machines landed. \`landfall status ${run}\`.`,
      };
    case 'failed':
      return { topic: 'failed', text: `ended, and no machine landed. \`landfall status ${run}\`.` };
    case 'rolled-back':
      return {
        topic: 'rolled-back',
        text: `ended: every machine is at its source as before. \`landfall status ${run}\`.`,
      };
    case 'held':
      return {
        topic: 'held',
        text: `is held: \`landfall status ${run}\` says by whom, why, and what waits for a decision.`,
      };
    case 'scheduled':
    case 'running':
    case 'cancelled':
      return null;
    default:
      return status satisfies never;
  }
}

/** Is there still something to tell beside what events say? */
export function isOpenRun({ status, archivedAt }: RunRecord): boolean {
  return archivedAt === null && !isEnded(status);
}
