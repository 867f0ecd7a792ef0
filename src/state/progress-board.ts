/** Progress of steps, for eyes only: the newest value per step, never part of a decision. */
import type { Redis } from 'ioredis';
import type { Progress } from '../domain/ports.ts';
import { keys } from './keys.ts';

export type StepProgress = Progress & {
  machine: string;
  step: string;
  /** Over the ten seconds before `at`; 0 while nothing moves. */
  bytesPerSecond: number;
  /** Milliseconds since the epoch on the writer's clock. */
  at: number;
};

export type StepName = Pick<StepProgress, 'machine' | 'step'>;

export interface ProgressBoard {
  write(run: string, progress: StepProgress): Promise<void>;
  /** A rate that nobody renewed for ten seconds is none: its worker died, or Redis was away. */
  read(run: string): Promise<StepProgress[]>;
  /** The same of these steps only: a board of many machines is long. */
  readSteps(run: string, steps: readonly StepName[]): Promise<StepProgress[]>;
  /** Forgets a machine's steps: they begin anew. */
  clear(run: string, machine: string): Promise<void>;
}

/** While there is a rate, whoever sends renews it twice a second. */
const STALE_RATE_MS = 10_000;

export function createProgressBoard(redis: Redis): ProgressBoard {
  return {
    async write(run, progress) {
      await redis.hset(keys.progress(run), fieldOf(progress), JSON.stringify(progress));
    },
    async clear(run, machine) {
      const stale = (await redis.hkeys(keys.progress(run))).filter((field) =>
        field.startsWith(`${machine} `),
      );
      if (stale.length > 0) await redis.hdel(keys.progress(run), ...stale);
    },
    async read(run) {
      const saved = await redis.hvals(keys.progress(run));
      const now = Date.now();
      return saved.map((json) => withoutStaleRate(JSON.parse(json) as StepProgress, now));
    },
    async readSteps(run, steps) {
      if (steps.length === 0) return [];
      const saved = await redis.hmget(keys.progress(run), ...steps.map(fieldOf));
      const now = Date.now();
      return saved.flatMap((json) =>
        json === null ? [] : [withoutStaleRate(JSON.parse(json) as StepProgress, now)],
      );
    },
  };
}

function fieldOf({ machine, step }: StepName): string {
  return `${machine} ${step}`;
}

function withoutStaleRate(progress: StepProgress, now: number): StepProgress {
  return now - progress.at < STALE_RATE_MS ? progress : { ...progress, bytesPerSecond: 0 };
}
