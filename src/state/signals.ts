/** Signals to the workers of all hosts, by pub/sub. Lost signals are harmless: records and settings say what is true. */
import type { Redis } from 'ioredis';
import { keys } from './keys.ts';

/** Stop working on a machine: it was cancelled or it failed. */
export type StopSignal = { type: 'stop'; run: string; machine: string };
/** What operators said of pools has changed. */
export type PoolsSignal = { type: 'pools' };

export type SignalListener = {
  onStop(signal: StopSignal): void;
  onPools?(): void;
};

export async function publishSignal(redis: Redis, signal: StopSignal | PoolsSignal): Promise<void> {
  await redis.publish(keys.signals, JSON.stringify(signal));
}

/** Listens on a connection of its own until disposed. */
export async function listenForSignals(redis: Redis, listener: SignalListener): Promise<AsyncDisposable> {
  const subscriber = redis.duplicate();
  subscriber.on('error', () => {});
  subscriber.on('message', (_channel, text) => {
    const signal = JSON.parse(text) as StopSignal | PoolsSignal;
    switch (signal.type) {
      case 'stop':
        return listener.onStop(signal);
      case 'pools':
        return listener.onPools?.();
      default:
        // A newer Landfall on another host may say more.
        return signal satisfies never;
    }
  });
  await subscriber.subscribe(keys.signals);
  return {
    async [Symbol.asyncDispose]() {
      subscriber.disconnect();
    },
  };
}
