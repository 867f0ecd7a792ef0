/** Bytes as they come, given out as the negotiation asks for them. */
import { NbdViolation } from './nbd-protocol.ts';

export type Handshake = {
  /** Keeps a copy: the bytes are lent. Throws `NbdViolation` when nobody could want so many. */
  push(bytes: Uint8Array): void;
  /** One at a time. */
  take(lengthBytes: number): Promise<Buffer>;
  /** Throws `NbdViolation` where bytes are left over. */
  checkEmpty(): void;
  /** No more will come. */
  fail(reason: unknown): void;
};

/**
 * "The client MUST NOT send any option until it has received a final reply": so one reply, 16 KiB at most, is on the
 * way.
 */
const MAX_HELD_BYTES = 1024 * 1024;

type Waiter = PromiseWithResolvers<Buffer> & { lengthBytes: number };

export function createHandshake(): Handshake {
  let held = Buffer.alloc(0);
  let waiter: Waiter | null = null;
  let failed: { reason: unknown } | null = null;
  const serve = (): void => {
    if (waiter === null || held.length < waiter.lengthBytes) return;
    const { lengthBytes, resolve } = waiter;
    waiter = null;
    resolve(held.subarray(0, lengthBytes));
    held = held.subarray(lengthBytes);
  };
  return {
    push: (bytes) => {
      if (held.length + bytes.length > MAX_HELD_BYTES) throw new NbdViolation('it talks without being asked');
      held = Buffer.concat([held, bytes]);
      serve();
    },
    take: (lengthBytes) => {
      if (failed !== null) return Promise.reject(failed.reason);
      const taker = { lengthBytes, ...Promise.withResolvers<Buffer>() };
      waiter = taker;
      serve();
      return taker.promise;
    },
    checkEmpty: () => {
      if (held.length > 0) throw new NbdViolation(`it sent ${held.length} bytes more than was agreed`);
    },
    fail: (reason) => {
      failed = { reason };
      waiter?.reject(reason);
    },
  };
}
