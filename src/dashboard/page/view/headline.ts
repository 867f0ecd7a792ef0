/** A run in one sentence: how much of it is on its way, what is in trouble, whether it makes its window. */
import type { RunSummary } from '../../api/run.ts';
import { isOver, MACHINE_SIGNS, type Sign, type Tone, VERDICT_SIGNS } from '../status/words.ts';
import { formatDuration } from './sizes.ts';

export type Claim = { text: string; tone: Tone | null; shape: Sign['shape'] | null };
/** Read one after the other they are the sentence. `back`: what is lost to this window, though nobody need act at once. */
export type Headline = { progress: Claim; trouble: Claim | null; back: Claim | null; window: Claim | null };

const PLAIN = { tone: null, shape: null };

export function headlineOf(run: RunSummary, now: number): Headline {
  return {
    progress: progressOf(run),
    trouble: troubleOf(run),
    back: backOf(run),
    window: windowOf(run, now),
  };
}

export function sayHeadline(run: RunSummary, now: number): string {
  const { progress, trouble, back, window } = headlineOf(run, now);
  const claims = [progress, trouble, back, window].filter((claim) => claim !== null);
  return `${run.id}: ${claims.map(({ text }) => text).join(', ')}`;
}

export function totalOf({ counts }: Pick<RunSummary, 'counts'>): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}

/** How many machines of the run are in each state that a wall screen tells apart, in the order of a bar. */
export function sharesOf(run: RunSummary): { tone: Tone; word: string; machines: number }[] {
  const { counts } = run;
  const rest = counts.waiting + counts.blocked;
  return [
    { tone: 'good', word: 'landed', machines: counts.landed },
    { tone: 'go', word: 'moving', machines: counts.moving },
    { tone: 'bad', word: 'failed', machines: counts.failed },
    { tone: 'warn', word: 'held', machines: counts.held },
    {
      tone: 'back',
      word: 'rolling or rolled back',
      machines: counts['rolling-back'] + counts['rolled-back'],
    },
    { tone: 'idle', word: 'waiting', machines: rest },
    {
      tone: 'idle',
      word: `${MACHINE_SIGNS.cancelled.word} or ${MACHINE_SIGNS.discarded.word}`,
      machines: counts.cancelled + counts.discarded,
    },
  ] satisfies { tone: Tone; word: string; machines: number }[];
}

function progressOf(run: RunSummary): Claim {
  const total = totalOf(run);
  const { landed, moving } = run.counts;
  if (run.status === 'scheduled' && landed + moving === 0) {
    return { text: `${total} ${total === 1 ? 'machine' : 'machines'} to move`, ...PLAIN };
  }
  if (isOver(run) || moving === 0) return { text: `${landed} of ${total} landed`, ...PLAIN };
  if (landed === 0) return { text: `${moving} of ${total} moving`, ...PLAIN };
  return { text: `${landed + moving} of ${total} moving or landed`, ...PLAIN };
}

function troubleOf({ troubled }: RunSummary): Claim | null {
  return troubled === 0 ? null : { text: `${troubled} in trouble`, tone: 'bad', shape: 'cross' };
}

function backOf({ counts }: RunSummary): Claim | null {
  const machines = counts['rolled-back'];
  return machines === 0 ? null : { text: `${machines} rolled back`, tone: 'back', shape: 'back' };
}

function windowOf(run: RunSummary, now: number): Claim | null {
  const { window } = run;
  if (isOver(run)) return overOf(run);
  if (run.approval !== null && run.approval.given === null) {
    return { text: 'waits for approval', tone: 'warn', shape: 'pause' };
  }
  if (window === null) return withoutWindow(run, now);
  if (now < window.opensAt) {
    return { text: `window opens in ${formatDuration(window.opensAt - now)}`, tone: 'idle', shape: 'clock' };
  }
  return { text: verdictOf(run, now), ...pick(VERDICT_SIGNS[run.estimate.verdict]) };
}

function withoutWindow({ estimate: { endsAt } }: RunSummary, now: number): Claim {
  const text =
    endsAt === null || endsAt <= now
      ? 'no window to make'
      : `done in about ${formatDuration(endsAt - now)}, no window to make`;
  return { text, ...PLAIN };
}

function pick({ tone, shape }: Sign): Pick<Claim, 'tone' | 'shape'> {
  return { tone, shape };
}

function verdictOf({ window, estimate, counts }: RunSummary, now: number): string {
  if (window === null) return '';
  const { endsAt, verdict } = estimate;
  const { closesAt, rollbackBy } = window;
  switch (verdict) {
    case 'makes-it': {
      // The estimate leaves out what went back: the run as it was planned does not make it.
      const makesIt = counts['rolled-back'] === 0 ? 'makes its window' : 'the rest makes the window';
      return endsAt === null ? makesIt : `${makesIt} with ${formatDuration(closesAt - endsAt)} to spare`;
    }
    case 'at-risk':
      return endsAt === null || endsAt <= rollbackBy
        ? 'may miss its window'
        : `at risk: done ${formatDuration(endsAt - rollbackBy)} after the last moment for a rollback`;
    case 'misses-it':
      if (now >= closesAt) return `its window closed ${formatDuration(now - closesAt)} ago`;
      return endsAt === null
        ? 'misses its window'
        : `misses its window by ${formatDuration(endsAt - closesAt)}`;
    case 'unknown':
      return now >= closesAt
        ? `its window closed ${formatDuration(now - closesAt)} ago`
        : `too early to say whether it makes its window, which closes in ${formatDuration(closesAt - now)}`;
    case 'none':
      return now >= closesAt ? 'its window is closed' : `window closes in ${formatDuration(closesAt - now)}`;
    default:
      return verdict satisfies never;
  }
}

function overOf({ window, endedAt }: RunSummary): Claim | null {
  if (window === null || endedAt === null) return null;
  const lateMs = endedAt - window.closesAt;
  return lateMs > 0
    ? { text: `ended ${formatDuration(lateMs)} after its window`, tone: 'warn', shape: 'alert' }
    : { text: `ended ${formatDuration(-lateMs)} before its window closed`, tone: 'good', shape: 'check' };
}
