/**
 * How far each receiver of a run's notices has been told: moved after a notice was delivered, never before, so that a
 * crash repeats one and loses none. Written under a lease: of many schedulers one sends.
 */
import type { Redis } from 'ioredis';
import { keys } from './keys.ts';
import { FENCE, type Lease, leaseLost } from './lease.ts';

export type NoticeMark = {
  /** Id of the last event that it has been told of, or need not be. */
  cursor: string;
  /** What does not come from an event, such as `window-at-risk 1795372835875`: each is told once. */
  told: readonly string[];
  /** Since it does not answer; null while it does. Told in the run's events once. */
  awaySince: number | null;
};

const UNTOLD: NoticeMark = { cursor: '0', told: [], awaySince: null };

export interface NoticeMarks {
  /** `channel`: its place among the wave's. */
  read(run: string, channel: number): Promise<NoticeMark>;
  /** Throws `lease-lost`. */
  write(
    at: { run: string; channel: number; lease: Pick<Lease, 'key' | 'token'> },
    mark: NoticeMark,
  ): Promise<void>;
}

export function createNoticeMarks(redis: Redis): NoticeMarks {
  return {
    async read(run, channel) {
      const json = await redis.hget(keys.notices(run), String(channel));
      return json === null ? UNTOLD : (JSON.parse(json) as NoticeMark);
    },

    async write({ run, channel, lease }, mark) {
      const reply = await redis.eval(
        WRITE,
        2,
        lease.key,
        keys.notices(run),
        lease.token,
        String(channel),
        JSON.stringify(mark),
      );
      if (reply === 'stale') throw leaseLost(lease.key);
    },
  };
}

const WRITE = `${FENCE}
redis.call('HSET', KEYS[2], ARGV[2], ARGV[3])
return 'written'
`;
