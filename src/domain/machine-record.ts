/**
 * The durable record of one machine in one run: what is true about it. BullMQ only says what runs.
 *
 *   blocked ──► waiting ──► moving ──► landed            blocked: until the machines it comes after have landed
 *                 ▲           │
 *                 │           ├──► failed                (a step ran out of tries, or its failure is permanent)
 *                 │           ├──► held                  (an operator said so, or it failed and its wave says so)
 *                 │           └──► cancelled             (an operator ended it, or its window closed before it started)
 *                 │
 *                 └── retry, release ── failed │ held │ cancelled │ discarded │ rolled-back
 *
 *   moving │ held │ failed │ cancelled │ landed │ discarded ──► rolling-back ──► rolled-back
 *                                                 (the landing is gone, the source is as it was)
 *   failed │ cancelled │ landed │ rolled-back ──► discarded   (what it made at the target was removed; the source stays off)
 */
import type { SavedError } from './errors.ts';
import type { Image, Prepared } from './image.ts';
import { FLOW, isPerDisk, type StepRef, stepKey } from './job.ts';
import type { Artifact, Landing } from './landing.ts';
import type { Machine } from './machine.ts';
import type { Say } from './run-record.ts';
import type { WaveMachine } from './wave.ts';

export const MACHINE_STATUSES = [
  'blocked',
  'waiting',
  'moving',
  'held',
  'landed',
  'failed',
  'rolling-back',
  'rolled-back',
  'cancelled',
  'discarded',
] as const;
export type MachineStatus = (typeof MACHINE_STATUSES)[number];

/**
 *   pending ──► active ──► done
 *                 │ ▲ └──► failed
 *                 └─┘ next try
 */
export type Step = StepRef & {
  state: 'pending' | 'active' | 'done' | 'failed';
  /** Number of the job that may do the step now; part of the job's id. Only ever grows. */
  try: number;
  /** Failed tries since the start, since an operator's retry, or since it last worked for a while. */
  failures: number;
  /** Those that failed because the target did not answer or staging was full: they do not use up tries, but may not go on for ever. */
  outages: number;
  /** When the first of these failures was; null while there is none. */
  troubledSince: number | null;
  /** When the last one was. */
  failedAt: number | null;
  /** The next try does not start before this time (ms since the epoch). */
  notBefore: number | null;
  startedAt: number | null;
  endedAt: number | null;
  /** Why the last try failed. */
  error: SavedError | null;
};

export type MachineRecord = {
  run: string;
  /** Grows by one with every commit: compare-and-set. */
  version: number;
  /** Its place in the wave, from 0. */
  position: number;
  status: MachineStatus;
  /** Of its wave's source: only workers of that site can read it; null: all can. */
  site: string | null;
  plan: WaveMachine;
  machine: Machine;
  /** Of the machines and groups that it comes after, those that have not landed yet. */
  after: readonly string[];
  /** By step key, in the order of the flow; the rollback, which nobody hopes for, last. */
  steps: Record<string, Step>;
  /** What the stages made, by disk id. */
  images: Record<string, Image>;
  prepared: Record<string, Prepared>;
  artifacts: Record<string, Artifact>;
  landing: Landing | null;
  /** Path of proof.json in the evidence store. */
  proof: string | null;
  /** Why it failed; null while it did not. */
  error: SavedError | null;
  startedAt: number | null;
  endedAt: number | null;
  /** Who holds it; null while nobody does, and where it is held because it failed. */
  hold: Say | null;
  /** Since then it is the machine that counts: there is no way back to its source. */
  committedAt: number | null;
};

/** What a finished step hands to the record. */
export type StepOutput =
  | { stage: 'shutdown' }
  | { stage: 'export'; disk: string; image: Image }
  | { stage: 'convert'; prepared: Record<string, Prepared> }
  | { stage: 'upload'; disk: string; artifact: Artifact }
  | { stage: 'import'; landing: Landing }
  | { stage: 'validate'; proof: string }
  | { stage: 'admit'; landing: Landing }
  | { stage: 'rollback' };

export function newMachineRecord(start: {
  run: string;
  position: number;
  site: string | null;
  plan: WaveMachine;
  machine: Machine;
  /** Can its source turn it off and on? Then that is the first step. */
  isControlled: boolean;
}): MachineRecord {
  const { isControlled, ...rest } = start;
  const { after } = start.plan;
  return {
    ...rest,
    version: 0,
    status: after.length > 0 ? 'blocked' : 'waiting',
    after,
    steps: newSteps(start.machine, isControlled),
    images: {},
    prepared: {},
    artifacts: {},
    landing: null,
    proof: null,
    error: null,
    startedAt: null,
    endedAt: null,
    hold: null,
    committedAt: null,
  };
}

/** The steps of a cold migration: one pass. */
export function newSteps(machine: Machine, isControlled: boolean): Record<string, Step> {
  const steps: Record<string, Step> = {};
  const flow = FLOW.filter((stage) => isControlled || stage !== 'shutdown');
  for (const stage of [...flow, 'rollback'] as const) {
    const disks = isPerDisk(stage) ? machine.disks.map((disk) => disk.id) : [null];
    for (const disk of disks) {
      const step = newStep({ stage, disk, pass: 0 });
      steps[stepKey(step)] = step;
    }
  }
  return steps;
}

/** Was it made for a source that can turn it off and on? */
export function isControlled({ steps }: Pick<MachineRecord, 'steps'>): boolean {
  return 'shutdown' in steps;
}

/** Has admitting it ever begun? Then its landing may have been in service, and may hold what came in since. */
export function mayServe({ steps: { admit } }: Pick<MachineRecord, 'steps'>): boolean {
  return admit !== undefined && (admit.startedAt !== null || admit.try > 1);
}

/** Has it come to rest: nothing more happens to it unless an operator acts? */
export function isAtRest(status: MachineStatus): boolean {
  return status !== 'blocked' && status !== 'waiting' && !isUnderWay(status);
}

/** May workers be busy with it? */
export function isUnderWay(status: MachineStatus): boolean {
  return status === 'moving' || status === 'rolling-back';
}

/** Did it fail by itself, whatever became of it then? That its window closed over it says nothing against it. */
export function isTroubled({ status, error }: Pick<MachineRecord, 'status' | 'error'>): boolean {
  return error !== null && error.code !== 'window-closed' && TROUBLED.has(status);
}

const TROUBLED: ReadonlySet<MachineStatus> = new Set(['failed', 'held', 'rolling-back', 'rolled-back']);

function newStep(ref: StepRef): Step {
  return {
    ...ref,
    state: 'pending',
    try: 1,
    failures: 0,
    outages: 0,
    troubledSince: null,
    failedAt: null,
    notBefore: null,
    startedAt: null,
    endedAt: null,
    error: null,
  };
}
