/** Windows of runs on a line of time: which stretch is shown, where things stand on it, what is written below. */
import type { RunSummary } from '../../api/run.ts';

const HOUR_MS = 60 * 60 * 1000;
const DAY_MS = 24 * HOUR_MS;

export type Span = { from: number; to: number };
export type Tick = { at: number; label: string; isDay: boolean };

export const SPANS = ['fit', 'day', 'week', 'month'] as const;
export type SpanName = (typeof SPANS)[number];

/** Now stands at a quarter: what comes matters more than what was. */
const PAST_SHARE = 0.25;
const LENGTHS: Readonly<Record<Exclude<SpanName, 'fit'>, number>> = {
  day: DAY_MS,
  week: 7 * DAY_MS,
  month: 31 * DAY_MS,
};
const SHORTEST_MS = 12 * HOUR_MS;
const LONGEST_MS = 31 * DAY_MS;

/** `fit`: as much as the windows of the runs that are not over need, with some air, at least half a day. */
export function spanOf(name: SpanName, runs: readonly RunSummary[], now: number): Span {
  if (name !== 'fit') {
    const length = LENGTHS[name];
    return { from: now - length * PAST_SHARE, to: now + length * (1 - PAST_SHARE) };
  }
  const moments = runs.filter(({ endedAt }) => endedAt === null).flatMap(momentsOf);
  const near = moments.filter((at) => Math.abs(at - now) < LONGEST_MS);
  const first = Math.min(now, ...near);
  const last = Math.max(now, ...near);
  const air = Math.max((last - first) * 0.06, (SHORTEST_MS - (last - first)) / 2);
  return { from: first - air, to: last + air };
}

/** Where a moment stands, as a share of the span's width; outside of it below 0 or above 1. */
export function placeOf(at: number, { from, to }: Span): number {
  return (at - from) / (to - from);
}

/** What of a stretch is seen; null: nothing. */
export function clip(stretch: Span, span: Span): { left: number; width: number } | null {
  const left = Math.max(0, placeOf(stretch.from, span));
  const right = Math.min(1, placeOf(stretch.to, span));
  return right <= left ? null : { left, width: right - left };
}

/** Even hours, or midnights where a day is narrow, on the viewer's own clock: about as many as fit. */
export function ticksOf({ from, to }: Span, most: number): Tick[] {
  const hours = [1, 2, 3, 6, 12].find((each) => (to - from) / (each * HOUR_MS) <= most);
  const ticks: Tick[] = [];
  const start = new Date(from);
  start.setHours(0, 0, 0, 0);
  const days = hours === undefined ? Math.ceil((to - from) / DAY_MS / most) : 1;
  // By calendar days, not by 24 hours: the clock may change in between.
  for (let day = new Date(start); day.getTime() <= to; day.setDate(day.getDate() + days)) {
    for (let hour = 0; hour < 24; hour += hours ?? 24) {
      const moment = new Date(day);
      moment.setHours(hour);
      const at = moment.getTime();
      if (moment.getHours() !== hour || at < from || at > to) continue;
      ticks.push({
        at,
        isDay: hour === 0,
        label: hour === 0 ? dayLabel(at) : `${String(hour).padStart(2, '0')}:00`,
      });
    }
  }
  return ticks;
}

function momentsOf({ window, estimate, createdAt, status }: RunSummary): number[] {
  const planned = window === null ? [] : [window.opensAt, window.closesAt];
  return [
    ...planned,
    ...(estimate.endsAt === null ? [] : [estimate.endsAt]),
    ...(status === 'running' && window === null ? [createdAt] : []),
  ];
}

function dayLabel(at: number): string {
  return new Date(at).toLocaleDateString('en-GB', { weekday: 'short', day: 'numeric', month: 'short' });
}
