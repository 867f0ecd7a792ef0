/** A client against a fake server that answers as each test says. */
import { createHash, randomBytes } from 'node:crypto';
import { expect, onTestFinished } from 'vitest';
import {
  NBD_REQUEST_BYTES,
  type NbdClient,
  type NbdClientOptions,
  openNbd,
} from '../../src/blocks/nbd-client.ts';
import type { LandfallError } from '../../src/domain/errors.ts';
import {
  type FakeConnection,
  type FakeNbd,
  type FakeNbdOptions,
  type FakeRequest,
  openFakeNbd,
} from './nbd-fake-server.ts';
import { CHUNK, chunk, DONE, dataPayload } from './nbd-wire.ts';

export const signal = AbortSignal.timeout(60_000);
export const ALLOCATION = 'base:allocation';
export const DISK_BYTES = 4 * NBD_REQUEST_BYTES;
export const disk = randomBytes(DISK_BYTES);

export async function open(fake: FakeNbdOptions, options: Partial<NbdClientOptions> = {}) {
  const server = await openFakeNbd({ bytes: DISK_BYTES, ...fake });
  onTestFinished(() => server[Symbol.asyncDispose]());
  const client = await openNbd({ uri: server.uri, signal, ...options });
  onTestFinished(() => client[Symbol.asyncDispose]());
  return { server, client };
}

export function contentOf({ offset, length }: FakeRequest): Buffer {
  return disk.subarray(offset, offset + length);
}

/** Answers a read as a good server does. */
export function answer(request: FakeRequest, connection: FakeConnection): void {
  connection.send(whole(request));
}

export function whole(request: FakeRequest): Buffer {
  const { cookie, offset } = request;
  return chunk({ cookie, type: CHUNK.data, flags: DONE, payload: dataPayload(offset, contentOf(request)) });
}

export function part(
  request: FakeRequest,
  { from, to, flags = 0 }: { from: number; to: number; flags?: number },
): Buffer {
  const { cookie, offset } = request;
  const payload = dataPayload(offset + from, disk.subarray(offset + from, offset + to));
  return chunk({ cookie, type: CHUNK.data, flags, payload });
}

export async function read(client: NbdClient, offsetBytes: number, lengthBytes: number): Promise<Buffer> {
  const into = Buffer.alloc(lengthBytes, 0xee);
  await client.read({ offsetBytes, into }, signal);
  return into;
}

export function digest(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

export function expectDisk(bytes: Buffer, offsetBytes: number): void {
  expect(digest(bytes)).toBe(digest(disk.subarray(offsetBytes, offsetBytes + bytes.length)));
}

export async function failureOf(promise: Promise<unknown>): Promise<LandfallError> {
  return await promise.then(
    () => expect.unreachable('it did not fail'),
    (error: unknown) => error as LandfallError,
  );
}

/** Resolves when the server has received so many requests. */
export async function untilAsked(server: FakeNbd, count: number): Promise<void> {
  await expect.poll(() => server.requests.length, { interval: 2, timeout: 10_000 }).toBe(count);
}
