/** All durable state of Landfall, over one Redis. The only room that speaks to ioredis, beside BullMQ's own connections. */
import type { Redis } from 'ioredis';
import type { Clock } from '../domain/ports.ts';
import { type AuditStream, createAuditStream } from './audit-stream.ts';
import { type Bandwidths, createBandwidths } from './bandwidth.ts';
import { type BandwidthLimits, createBandwidthLimits } from './bandwidth-limits.ts';
import { createRedisClock } from './clock.ts';
import { type ConsoleBoard, createConsoleBoard } from './console-board.ts';
import { createEventStream, type EventStream } from './event-stream.ts';
import { createMachineStore, type MachineStore } from './machine-store.ts';
import { createMetricTotals, type MetricTotals } from './metric-totals.ts';
import { createPoolSettings, type PoolSettings } from './pool-settings.ts';
import { createProgressBoard, type ProgressBoard } from './progress-board.ts';
import { type ConnectionNotice, closeRedis, openRedis, type RedisUrl } from './redis.ts';
import { createRunStore, type RunStore } from './run-store.ts';
import { createThroughputLog, type ThroughputLog } from './throughput-log.ts';

export type State = AsyncDisposable & {
  url: RedisUrl;
  redis: Redis;
  clock: Clock;
  runs: RunStore;
  machines: MachineStore;
  events: EventStream;
  progress: ProgressBoard;
  throughput: ThroughputLog;
  metricTotals: MetricTotals;
  consoles: ConsoleBoard;
  pools: PoolSettings;
  audit: AuditStream;
  bandwidthLimits: BandwidthLimits;
  bandwidths: Bandwidths;
};

export function openState(url: RedisUrl, notice?: ConnectionNotice): State {
  const redis = openRedis(url, notice);
  const runs = createRunStore(redis);
  const bandwidthLimits = createBandwidthLimits(redis);
  return {
    url,
    redis,
    clock: createRedisClock(redis),
    runs,
    machines: createMachineStore(redis, runs),
    events: createEventStream(redis),
    progress: createProgressBoard(redis),
    throughput: createThroughputLog(redis),
    metricTotals: createMetricTotals(redis),
    consoles: createConsoleBoard(redis),
    pools: createPoolSettings(redis),
    audit: createAuditStream(redis),
    bandwidthLimits,
    bandwidths: createBandwidths({ redis, limits: bandwidthLimits }),
    async [Symbol.asyncDispose]() {
      closeRedis(redis);
    },
  };
}
