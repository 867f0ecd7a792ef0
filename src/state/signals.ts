/** Signals to the workers of all hosts, by pub/sub. Lost signals are harmless: the record says what is true. */
import type { Redis } from 'ioredis';
import { keys } from './keys.ts';

/** Stop working on a machine: it was cancelled or it failed. */
export type StopSignal = { type: 'stop'; run: string; machine: string };

export async function publishStop(redis: Redis, signal: StopSignal): Promise<void> {
  await redis.publish(keys.signals, JSON.stringify(signal));
}

/** Listens on a connection of its own until disposed. */
export async function listenForStops(
  redis: Redis,
  onStop: (signal: StopSignal) => void,
): Promise<AsyncDisposable> {
  const subscriber = redis.duplicate();
  subscriber.on('error', () => {});
  subscriber.on('message', (_channel, text) => onStop(JSON.parse(text) as StopSignal));
  await subscriber.subscribe(keys.signals);
  return {
    async [Symbol.asyncDispose]() {
      subscriber.disconnect();
    },
  };
}
