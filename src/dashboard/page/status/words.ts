/** What statuses, stages and verdicts are called, how heavy they are, and which shape and tone stands for them. */
import type { Estimate, MachineLine, RunSummary, StageCell } from '../../api/run.ts';

/** Which colours; the shape always goes with it. */
export type Tone = 'go' | 'good' | 'warn' | 'bad' | 'back' | 'idle';
export type Shape =
  | 'check'
  | 'cross'
  | 'pause'
  | 'play'
  | 'circle'
  | 'dashed'
  | 'back'
  | 'square'
  | 'clock'
  | 'alert'
  | 'question';
export type Sign = { word: string; tone: Tone; shape: Shape };

export type MachineStatus = MachineLine['status'];
export type RunStatus = RunSummary['status'];
export type Stage = StageCell['stage'];
export type StageState = StageCell['state'];
export type Verdict = Estimate['verdict'];

export const MACHINE_SIGNS: Readonly<Record<MachineStatus, Sign>> = {
  failed: { word: 'failed', tone: 'bad', shape: 'cross' },
  'rolling-back': { word: 'rolling back', tone: 'back', shape: 'back' },
  held: { word: 'held', tone: 'warn', shape: 'pause' },
  moving: { word: 'moving', tone: 'go', shape: 'play' },
  waiting: { word: 'waiting', tone: 'idle', shape: 'circle' },
  blocked: { word: 'blocked', tone: 'idle', shape: 'dashed' },
  'rolled-back': { word: 'rolled back', tone: 'back', shape: 'back' },
  cancelled: { word: 'cancelled', tone: 'idle', shape: 'square' },
  discarded: { word: 'discarded', tone: 'idle', shape: 'square' },
  landed: { word: 'landed', tone: 'good', shape: 'check' },
};

export const RUN_SIGNS: Readonly<Record<RunStatus, Sign>> = {
  scheduled: { word: 'scheduled', tone: 'idle', shape: 'clock' },
  running: { word: 'running', tone: 'go', shape: 'play' },
  held: { word: 'held', tone: 'warn', shape: 'pause' },
  landed: { word: 'landed', tone: 'good', shape: 'check' },
  partial: { word: 'landed in part', tone: 'warn', shape: 'alert' },
  failed: { word: 'failed', tone: 'bad', shape: 'cross' },
  'rolled-back': { word: 'rolled back', tone: 'back', shape: 'back' },
  cancelled: { word: 'cancelled', tone: 'idle', shape: 'square' },
};

export const STAGE_SIGNS: Readonly<Record<StageState, Sign>> = {
  pending: { word: 'to do', tone: 'idle', shape: 'circle' },
  active: { word: 'at work', tone: 'go', shape: 'play' },
  waiting: { word: 'waits to try again', tone: 'warn', shape: 'clock' },
  done: { word: 'done', tone: 'good', shape: 'check' },
  failed: { word: 'failed', tone: 'bad', shape: 'cross' },
};

export const VERDICT_SIGNS: Readonly<Record<Verdict, Sign>> = {
  'makes-it': { word: 'makes its window', tone: 'good', shape: 'check' },
  'at-risk': { word: 'at risk', tone: 'warn', shape: 'alert' },
  'misses-it': { word: 'misses its window', tone: 'bad', shape: 'cross' },
  unknown: { word: 'not known yet', tone: 'idle', shape: 'question' },
  none: { word: 'no window', tone: 'idle', shape: 'circle' },
};

/** In the order of the flow. Where a run has no `shutdown`, no machine of it does. */
export const STAGE_NAMES: Readonly<Record<Stage, string>> = {
  shutdown: 'shut down',
  export: 'export',
  convert: 'convert',
  upload: 'upload',
  import: 'import',
  validate: 'validate',
  admit: 'admit',
  rollback: 'roll back',
};

/** The lower, the sooner an operator looks at it. */
const WEIGHTS = Object.keys(MACHINE_SIGNS) as MachineStatus[];

export function weightOf(line: Pick<MachineLine, 'status' | 'isTroubled'>): number {
  return (line.isTroubled ? 0 : WEIGHTS.length) + WEIGHTS.indexOf(line.status);
}

const OVER: ReadonlySet<RunStatus> = new Set(['landed', 'partial', 'failed', 'rolled-back', 'cancelled']);

/** Has the run come to its end: nothing more happens unless an operator acts? */
export function isOver({ status }: Pick<RunSummary, 'status'>): boolean {
  return OVER.has(status);
}
