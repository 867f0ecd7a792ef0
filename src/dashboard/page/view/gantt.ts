/**
 * The tries of each step on a line of time. A step tells when it began first, how it stands and which try it is at; when
 * the tries before ended, and why, is in the events. Where those are gone, the step is one bar.
 */
import type { MachineDetail, ShownEvent } from '../../api/machine.ts';
import { STAGE_NAMES } from '../status/words.ts';
import { formatDuration } from './sizes.ts';

export type StepShown = MachineDetail['steps'][number];
export type TryState = 'done' | 'failed' | 'active' | 'waiting';
export type TryBar = {
  try: number;
  from: number;
  /** null: it goes on. */
  to: number | null;
  state: TryState;
  /** Why it failed. */
  error: string | null;
};
export type GanttRow = { key: string; name: string; bars: TryBar[]; words: string; step: StepShown };

const FLOW = Object.keys(STAGE_NAMES);

/** In the order of the flow, disks by their place; with what has not begun; but nobody means to roll back before it begins. */
export function rowsOf(steps: readonly StepShown[], events: readonly ShownEvent[], now: number): GanttRow[] {
  const byStep = Map.groupBy(events.filter(isOfStep), ({ step }) => step);
  return steps
    .filter(({ stage, state }) => stage !== 'rollback' || state !== 'pending')
    .sort((a, b) => a.pass - b.pass || FLOW.indexOf(a.stage) - FLOW.indexOf(b.stage))
    .map((step) => {
      const bars = barsOf(step, byStep.get(step.key) ?? [], now);
      return { key: step.key, name: nameOf(step), bars, words: sayStep(step, bars, now), step };
    });
}

/** What the line of time must hold; null: nothing has begun. */
export function extentOf(rows: readonly GanttRow[], now: number): { from: number; to: number } | null {
  const bars = rows.flatMap(({ bars }) => bars);
  if (bars.length === 0) return null;
  const from = Math.min(...bars.map((bar) => bar.from));
  const to = Math.max(...bars.map((bar) => bar.to ?? now));
  return { from, to: Math.max(to, from + SHORTEST_MS) };
}

const SHORTEST_MS = 5_000;
const SECOND_MS = 1000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;
const STEPS_MS = [
  SECOND_MS,
  5 * SECOND_MS,
  10 * SECOND_MS,
  30 * SECOND_MS,
  MINUTE_MS,
  2 * MINUTE_MS,
  5 * MINUTE_MS,
  10 * MINUTE_MS,
  30 * MINUTE_MS,
  HOUR_MS,
  2 * HOUR_MS,
  6 * HOUR_MS,
  12 * HOUR_MS,
];

/** Round spans after the start: how long it took is what one reads here, not what o'clock it was. */
export function ticksOf({ from, to }: { from: number; to: number }, most: number): number[] {
  const length = to - from;
  const step =
    STEPS_MS.find((each) => length / each <= most) ??
    Math.ceil(length / most / (24 * HOUR_MS)) * 24 * HOUR_MS;
  return Array.from({ length: Math.floor(length / step) + 1 }, (_, index) => from + index * step);
}

type StepEvent = ShownEvent & { step: string; state: string; try: number };

function isOfStep(event: ShownEvent): event is StepEvent {
  return event.type === 'step' && typeof event.step === 'string' && typeof event.try === 'number';
}

function barsOf(step: StepShown, events: readonly StepEvent[], now: number): TryBar[] {
  const bars: TryBar[] = [];
  let open: { from: number; try: number } | null = null;
  const end = (to: number, state: TryState, error: string | null): void => {
    if (open !== null) bars.push({ ...open, to, state, error });
    open = null;
  };
  for (const event of events) {
    if (event.state === 'offered') open ??= { from: event.at, try: event.try };
    else if (event.state === 'started') open = { from: event.at, try: event.try };
    else if (event.state === 'retrying') {
      open ??= beganBefore(step, event);
      end(event.at, 'failed', errorOf(event));
      open = { from: event.at, try: event.try };
    } else if (event.state === 'failed') {
      open ??= beganBefore(step, event);
      end(event.at, 'failed', errorOf(event));
    } else if (event.state === 'done') {
      open ??= beganBefore(step, event);
      end(event.at, 'done', null);
    }
  }
  return [...bars, ...lastBar(step, { open, known: bars, now })];
}

/** The try that goes on, the end that no event told of, or all that is known of a step whose events are gone. */
function lastBar(
  step: StepShown,
  of: { open: { from: number; try: number } | null; known: readonly TryBar[]; now: number },
): TryBar[] {
  const { state, startedAt, endedAt, notBefore, error } = step;
  const { open, known, now } = of;
  const last = known.at(-1) ?? null;
  const from = open?.from ?? last?.to ?? startedAt;
  if (from === null || state === 'pending') return [];
  const bar = { try: step.try, from, error: null };
  if (state === 'active') {
    if (notBefore !== null && notBefore > now) return [{ ...bar, to: notBefore, state: 'waiting' }];
    return startedAt === null ? [] : [{ ...bar, to: null, state: 'active' }];
  }
  if (last !== null && (last.state === state || endedAt === null)) return [];
  const to = Math.max(from, endedAt ?? now);
  if (state === 'done') return [{ ...bar, to, state }];
  return [{ ...bar, to, state, error: error?.message ?? null }];
}

function beganBefore({ startedAt }: StepShown, event: StepEvent): { from: number; try: number } | null {
  return startedAt === null || startedAt > event.at
    ? null
    : { from: startedAt, try: Math.max(1, event.try - 1) };
}

function errorOf({ error }: ShownEvent): string | null {
  if (typeof error !== 'object' || error === null || !('message' in error)) return null;
  return typeof error.message === 'string' ? error.message : null;
}

function nameOf({ stage, disk, pass }: StepShown): string {
  const of = disk === null ? '' : ` ${disk}`;
  return `${STAGE_NAMES[stage]}${of}${pass === 0 ? '' : `, pass ${pass}`}`;
}

/** `done in 14 min, at try 3`: what the bars show. */
function sayStep(step: StepShown, bars: readonly TryBar[], now: number): string {
  const { state, startedAt, endedAt, notBefore } = step;
  const tries = step.try > 1 ? `, try ${step.try}` : '';
  const took = startedAt === null ? '' : sayTook((endedAt ?? now) - startedAt);
  switch (state) {
    case 'done':
      return took === '' ? 'done' : `done in ${took}${step.try > 1 ? ` at try ${step.try}` : ''}`;
    case 'failed':
      return took === '' ? `failed${tries}` : `failed after ${took}${tries}`;
    case 'active':
      if (notBefore !== null && notBefore > now)
        return `try ${step.try} in ${formatDuration(notBefore - now)}`;
      return bars.length === 0 ? 'waits for a worker' : `at work for ${took}${tries}`;
    case 'pending':
      return 'to do';
    default:
      return state satisfies never;
  }
}

/** `0 s` reads as if nothing had been done. */
function sayTook(ms: number): string {
  return ms < SECOND_MS ? 'under 1 s' : formatDuration(ms);
}
