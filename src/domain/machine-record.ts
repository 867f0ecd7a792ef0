/**
 * The durable record of one machine in one run: what is true about it. BullMQ only says what runs.
 *
 *   waiting ──► moving ──► landed
 *                 │  ▲
 *                 │  └── retry ── failed │ discarded │ cancelled
 *                 ├──► failed            (a step ran out of tries, or its failure is permanent)
 *                 └──► cancelled         (an operator ended it)
 *   failed │ cancelled │ landed ──► discarded   (what it made at the target was removed)
 */
import type { SavedError } from './errors.ts';
import type { Image, Prepared } from './image.ts';
import { isPerDisk, STEP_STAGES, type StepRef, stepKey } from './job.ts';
import type { Artifact, Landing } from './landing.ts';
import type { Machine } from './machine.ts';
import type { WaveMachine } from './wave.ts';

export const MACHINE_STATUSES = ['waiting', 'moving', 'landed', 'failed', 'cancelled', 'discarded'] as const;
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
  plan: WaveMachine;
  machine: Machine;
  /** By step key, in the order of the flow. */
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
};

/** What a finished step hands to the record. */
export type StepOutput =
  | { stage: 'export'; disk: string; image: Image }
  | { stage: 'convert'; prepared: Record<string, Prepared> }
  | { stage: 'upload'; disk: string; artifact: Artifact }
  | { stage: 'import'; landing: Landing }
  | { stage: 'validate'; proof: string }
  | { stage: 'admit'; landing: Landing };

export function newMachineRecord(start: {
  run: string;
  position: number;
  plan: WaveMachine;
  machine: Machine;
}): MachineRecord {
  return {
    ...start,
    version: 0,
    status: 'waiting',
    steps: newSteps(start.machine),
    images: {},
    prepared: {},
    artifacts: {},
    landing: null,
    proof: null,
    error: null,
    startedAt: null,
    endedAt: null,
  };
}

/** The steps of a cold migration: one pass. */
export function newSteps(machine: Machine): Record<string, Step> {
  const steps: Record<string, Step> = {};
  for (const stage of STEP_STAGES) {
    const disks = isPerDisk(stage) ? machine.disks.map((disk) => disk.id) : [null];
    for (const disk of disks) {
      const step = newStep({ stage, disk, pass: 0 });
      steps[stepKey(step)] = step;
    }
  }
  return steps;
}

/** Has it come to rest: nothing more happens to it unless an operator acts? */
export function isAtRest(status: MachineStatus): boolean {
  return status !== 'waiting' && status !== 'moving';
}

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
