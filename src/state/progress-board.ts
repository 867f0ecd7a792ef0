/** Progress of steps, for eyes only: the newest value per step, never part of a decision. */
import type { Redis } from 'ioredis';
import type { Progress } from '../domain/ports.ts';
import { keys } from './keys.ts';

export type StepProgress = Progress & {
  machine: string;
  step: string;
  /** Over the last seconds; 0 while nothing moves. */
  bytesPerSecond: number;
  /** Milliseconds since the epoch on the writer's clock. */
  at: number;
};

export interface ProgressBoard {
  write(run: string, progress: StepProgress): Promise<void>;
  read(run: string): Promise<StepProgress[]>;
  /** Forgets a machine's steps: they begin anew. */
  clear(run: string, machine: string): Promise<void>;
}

export function createProgressBoard(redis: Redis): ProgressBoard {
  return {
    async write(run, progress) {
      await redis.hset(keys.progress(run), `${progress.machine} ${progress.step}`, JSON.stringify(progress));
    },
    async clear(run, machine) {
      const stale = (await redis.hkeys(keys.progress(run))).filter((field) =>
        field.startsWith(`${machine} `),
      );
      if (stale.length > 0) await redis.hdel(keys.progress(run), ...stale);
    },
    async read(run) {
      return (await redis.hvals(keys.progress(run))).map((json) => JSON.parse(json) as StepProgress);
    },
  };
}
