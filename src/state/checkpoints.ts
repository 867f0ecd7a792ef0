/** Checkpoints of one machine in one run, written under a lease: a stale attempt cannot overwrite its successor's. */
import type { Redis } from 'ioredis';
import type { JsonValue } from '../domain/json.ts';
import type { Checkpoints } from '../domain/ports.ts';
import { keys } from './keys.ts';
import { FENCE, type Lease, leaseLost } from './lease.ts';
import { orAborted } from './or-aborted.ts';

export function openCheckpoints(open: {
  redis: Redis;
  run: string;
  machine: string;
  lease: Lease;
  /** Ends every wait for Redis. */
  signal: AbortSignal;
}): Checkpoints {
  const { redis, lease, signal } = open;
  const hash = keys.checkpoints(open.run, open.machine);
  const write = async (script: string, ...args: (string | Buffer)[]): Promise<void> => {
    const reply = await orAborted(redis.eval(script, 2, lease.key, hash, lease.token, ...args), signal);
    if (reply === 'stale') throw leaseLost(lease.key);
  };
  return {
    async get(key) {
      const json = await orAborted(redis.hget(hash, key), signal);
      return json === null ? null : (JSON.parse(json) as JsonValue);
    },
    set: (key, value) => write(SET, key, JSON.stringify(value)),
    getBytes: async (names) =>
      names.length === 0 ? [] : await orAborted(redis.hmgetBuffer(hash, ...names), signal),
    setBytes: (key, bytes) => write(SET, key, Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)),
    delete: async (...names) => {
      if (names.length > 0) await write(DELETE, ...names);
    },
  };
}

/** For eyes: without a lease, as things stand. In the order of the keys. */
export async function readCheckpointBytes(
  redis: Redis,
  of: { run: string; machine: string },
  names: readonly string[],
): Promise<(Uint8Array | null)[]> {
  return await redis.hmgetBuffer(keys.checkpoints(of.run, of.machine), ...names);
}

const SET = `${FENCE}
redis.call('HSET', KEYS[2], ARGV[2], ARGV[3])
return 'written'
`;

const DELETE = `${FENCE}
redis.call('HDEL', KEYS[2], unpack(ARGV, 2))
return 'written'
`;
