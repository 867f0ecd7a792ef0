/**
 * Will a run make its window? What is left is played through at the rate that was held and with the times that the run's
 * own machines took: so many machines at once, those under way together on one line, each after those that it comes
 * after. Nothing is assumed that this run did not show; where it showed too little the answer is `unknown`. Pure.
 */
import { isWindowOver, lastRollbackAt, phaseOf } from './advance-wave.ts';
import { rateInForce } from './bandwidth-plan.ts';
import { formatByteRate } from './byte-rate.ts';
import { formatBytes } from './byte-size.ts';
import { stepKey } from './job.ts';
import type { MachineRecord } from './machine-record.ts';
import { measureStages, type StageTimes } from './measured-stages.ts';
import { playThrough } from './play-through.ts';
import { type MachineLeft, machinesLeft } from './remaining-work.ts';
import { isEnded, type RunRecord } from './run-record.ts';
import { formatMoment, formatSpanUntil } from './zoned-time.ts';

/**
 *   makes-it   it ends before the last moment from which a rollback fits
 *   at-risk    it ends after that
 *   misses-it  it ends after the window has closed
 *   unknown    too little was measured
 *   none       no window, or the run is over
 */
export const VERDICTS = ['makes-it', 'at-risk', 'misses-it', 'unknown', 'none'] as const;
export type Verdict = (typeof VERDICTS)[number];

export type Estimate = {
  /** When the last machine lands as things go; null: nothing is known yet, or nothing is left. */
  endsAt: number | null;
  verdict: Verdict;
  /** Bytes that are still to be moved, and the rate of the run as a whole that was assumed for them. */
  bytesLeft: number;
  bytesPerSecond: number;
  /** What it rests on, as sentences. */
  because: string[];
};

export type EstimateInput = {
  run: RunRecord;
  machines: readonly MachineRecord[];
  /** Of steps, as the board holds them. */
  progress: readonly { machine: string; step: string; doneBytes: number; totalBytes: number }[];
  /** What the run moved, oldest first; `everyMs` each. */
  samples: readonly { at: number; bytesPerSecond: number }[];
  everyMs: number;
  /** What an operator set, instead of what the wave says; null: nothing. */
  limitSet: number | 'none' | null;
  now: number;
};

/** The rate is that of the last so many samples, of 10 s each in which something moved: five minutes. */
const RATE_SAMPLES = 30;
/** Fewer than these say nothing, the first seconds of a copy are no rate: then whole uploads tell, where some are done. */
const LEAST_SAMPLES = 3;
/** What moved longer ago than this may have moved on another line. */
const RATE_AGE_MS = 60 * 60_000;

export function estimateRun(input: EstimateInput): Estimate {
  const { run, machines, now } = input;
  const none: Estimate = { endsAt: null, verdict: 'none', bytesLeft: 0, bytesPerSecond: 0, because: [] };
  if (isEnded(run.status) || run.archivedAt !== null) return none;
  const times = measureStages(machines);
  const { left, because } = machinesLeft(input, times);
  const bytesLeft = sum(left.map(({ bytes }) => bytes));
  const held = rateHeld(input);
  const assumed = limited(held, limitAt(input, now));
  const of = { ...none, bytesLeft, bytesPerSecond: Math.round(assumed), because };
  if (left.length === 0) return { ...of, verdict: run.window === null ? 'none' : 'unknown' };
  const startsAt = whenStarting(run, now);
  if (bytesLeft > 0 && held === 0) {
    because.push('Too little was moved yet to tell a rate from.');
    return { ...of, verdict: run.window === null ? 'none' : 'unknown' };
  }
  const endsAt = playThrough({
    machines: left,
    atOnce: run.wave.limits.machines,
    startsAt,
    now,
    rateAt: (at) => limited(held, limitAt(input, at)),
  });
  because.push(...describeBasis({ left, bytesLeft, assumed, times }), ...describeConditions(run, now));
  const unmeasured = [...new Set(left.flatMap((machine) => machine.unmeasured))];
  if (unmeasured.length === 0) return { ...of, endsAt, verdict: verdictOf(run, endsAt) };
  // What was not measured takes no less than nothing: a miss is certain already, the rest is not known.
  const verdict = verdictOf(run, endsAt);
  because.push(
    `How long ${unmeasured.join(', ')} ${unmeasured.length === 1 ? 'takes' : 'take'} was not measured in this run yet: it cannot end before ${describeAt(run, endsAt)}.`,
  );
  if (verdict === 'misses-it') return { ...of, endsAt, verdict };
  return { ...of, verdict: verdict === 'none' ? 'none' : 'unknown' };
}

function verdictOf(run: RunRecord, endsAt: number): Verdict {
  const { window } = run;
  const last = lastRollbackAt(run);
  if (window === null || last === null) return 'none';
  if (endsAt > window.closesAt) return 'misses-it';
  return endsAt > last ? 'at-risk' : 'makes-it';
}

/** Waiting machines begin once the window is open; those that were begun go on at any time. */
function whenStarting({ window }: RunRecord, now: number): number {
  return window === null ? now : Math.max(now, window.opensAt);
}

function rateHeld(input: EstimateInput): number {
  const { samples, everyMs, now } = input;
  const recent = samples.filter(({ at }) => now - at < RATE_AGE_MS).slice(-RATE_SAMPLES);
  // The newest is still being written.
  const whole = recent.filter(({ at }) => at + everyMs <= now);
  if (whole.length < LEAST_SAMPLES) return rateOfUploads(input);
  return sum(whole.map(({ bytesPerSecond }) => bytesPerSecond)) / whole.length;
}

/** Of those that are done, each from its start to its end: several at once had no less together. 0: none is. */
function rateOfUploads({ machines, progress, now }: EstimateInput): number {
  const doneBytes = new Map(progress.map((each) => [`${each.machine} ${each.step}`, each.doneBytes]));
  let [bytes, elapsedMs] = [0, 0];
  for (const { machine, steps, prepared } of machines)
    for (const step of Object.values(steps)) {
      const { stage, disk, state, startedAt, endedAt } = step;
      if (stage !== 'upload' || state !== 'done' || startedAt === null || endedAt === null) continue;
      if (now - endedAt > RATE_AGE_MS) continue;
      const whole = prepared[disk ?? '']?.dataBytes ?? 0;
      bytes += doneBytes.get(`${machine.name} ${stepKey(step)}`) ?? whole;
      elapsedMs += endedAt - startedAt;
    }
  return elapsedMs === 0 ? 0 : (bytes / elapsedMs) * 1000;
}

function limitAt({ run, limitSet }: EstimateInput, at: number): number | null {
  return rateInForce(limitSet, run.wave.limits, at);
}

function limited(rate: number, limit: number | null): number {
  return limit === null ? rate : Math.min(rate, limit);
}

function describeBasis(of: {
  left: readonly MachineLeft[];
  bytesLeft: number;
  assumed: number;
  times: StageTimes;
}): string[] {
  const { left, bytesLeft, assumed, times } = of;
  const lines: string[] = [];
  if (bytesLeft > 0) {
    const guessed = left.some(({ isGuessed }) => isGuessed) ? 'About ' : '';
    lines.push(`${guessed}${formatBytes(bytesLeft)} are left, at ${formatByteRate(assumed)}.`);
  }
  const measured = (['import', 'validate', 'admit'] as const).flatMap((stage) => {
    const time = times.get(stage);
    return time === undefined ? [] : [`${stage} ${formatSpanUntil(time.medianMs)}`];
  });
  if (measured.length > 0) lines.push(`As measured in this run: ${measured.join(', ')}.`);
  return lines;
}

function describeConditions(run: RunRecord, now: number): string[] {
  if (run.hold !== null) return ['The run is held: this is as if it were released now.'];
  if (isWindowOver(run, now)) return ['Its window has closed: this is as if it were opened again now.'];
  if (phaseOf(run, now) === 'unapproved') return ['It is not approved: this is as if it were approved now.'];
  return [];
}

function describeAt({ wave }: RunRecord, at: number): string {
  return formatMoment(Math.ceil(at / 60_000) * 60_000, wave.window?.timezone ?? 'UTC');
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
