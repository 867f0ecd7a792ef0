/** What the bench `control` asks of a worker process, and what that answers, as JSON lines on its standard output. */
import { STEP_STAGES, type StepStage } from '../../../src/domain/job.ts';

export type ControlJob = {
  redisUrl: string;
  /** `landfall`: pools, conductor and scheduler as in `landfall up`; `plain`: BullMQ alone, each job adding the next. */
  kind: 'landfall' | 'plain';
  /** Fires timers and reconciles. */
  schedules: boolean;
};

export type ControlMessage =
  | { kind: 'ready' }
  /** While it changes: what was done up to now; at its end once more. */
  | { kind: 'count'; steps: number; chains: number; lastFirstStepAt: number };

/** What a machine goes through that lands: each stage is a job. */
export const STEPS_OF_A_LANDING: readonly StepStage[] = STEP_STAGES.filter((stage) => stage !== 'rollback');
export const FIRST_STEP: StepStage = 'shutdown';

/** Of each pool in each process. */
export const CONCURRENCY = 50;
