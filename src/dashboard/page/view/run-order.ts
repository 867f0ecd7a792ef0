/** Which runs come first: what lives, and of that what needs an operator. */
import type { RunSummary } from '../../api/run.ts';
import { isOver } from '../status/words.ts';
import { count, formatDuration } from './sizes.ts';

export type RunGroups = { live: RunSummary[]; coming: RunSummary[]; past: RunSummary[] };

/** Runs that wait for their window this long are shown among those that come. */
const SOON_MS = 60 * 60 * 1000;

export function groupRuns(runs: readonly RunSummary[], now: number): RunGroups {
  const live: RunSummary[] = [];
  const coming: RunSummary[] = [];
  const past: RunSummary[] = [];
  for (const run of runs) {
    if (isOver(run) || run.archivedAt !== null) past.push(run);
    else if (isFarOff(run, now)) coming.push(run);
    else live.push(run);
  }
  return {
    live: live.sort((a, b) => urgencyOf(a) - urgencyOf(b) || dueAt(a) - dueAt(b) || byId(a, b)),
    coming: coming.sort((a, b) => opensAt(a) - opensAt(b) || byId(a, b)),
    past: past.sort((a, b) => (b.endedAt ?? b.createdAt) - (a.endedAt ?? a.createdAt) || byId(a, b)),
  };
}

/** The lower, the sooner an operator must look. */
export function urgencyOf(run: RunSummary): number {
  const { estimate, troubled, standsStill, unserved, hold, approval } = run;
  if (isOver(run)) return 9;
  if (estimate.verdict === 'misses-it') return 0;
  if (troubled > 0) return 1;
  if (estimate.verdict === 'at-risk') return 2;
  if (unserved.length > 0 || standsStill !== null) return 3;
  if (hold !== null || (approval !== null && approval.given === null)) return 4;
  return 5;
}

/** The page in one line: `2 runs live, 3 machines in trouble`. */
export function sayOverview({ live, coming }: RunGroups, now: number): string {
  if (live.length === 0) {
    const [next] = coming;
    if (next === undefined) return 'Nothing is running';
    const opens =
      next.window === null ? '' : `, the next window opens in ${formatDuration(next.window.opensAt - now)}`;
    return `Nothing is running${opens}`;
  }
  const troubled = live.reduce((sum, run) => sum + run.troubled, 0);
  const isLate = live.filter(({ estimate }) => estimate.verdict === 'misses-it').length;
  const late = isLate === 0 ? '' : `, ${count(isLate, 'window')} will be missed`;
  const trouble = troubled === 0 ? 'nothing in trouble' : `${count(troubled, 'machine')} in trouble`;
  const gone = live.reduce((sum, run) => sum + run.counts['rolled-back'], 0);
  const back = gone === 0 ? '' : `, ${count(gone, 'machine')} rolled back`;
  return `${count(live.length, 'run')} live, ${trouble}${back}${late}`;
}

function isFarOff({ status, window, standsStill }: RunSummary, now: number): boolean {
  return status === 'scheduled' && standsStill === null && window !== null && window.opensAt > now + SOON_MS;
}

function dueAt({ window }: RunSummary): number {
  return window?.closesAt ?? Number.MAX_SAFE_INTEGER;
}

function opensAt({ window, createdAt }: RunSummary): number {
  return window?.opensAt ?? createdAt;
}

function byId(a: RunSummary, b: RunSummary): number {
  return a.id.localeCompare(b.id);
}
