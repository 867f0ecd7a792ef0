import { describe, expect, it, onTestFinished } from 'vitest';
import { NBD_REQUEST_BYTES, NBD_REQUESTS_IN_FLIGHT } from '../../src/blocks/nbd-client.ts';
import type { FakeConnection, FakeRequest } from './nbd-fake-server.ts';
import {
  ALLOCATION,
  answer,
  contentOf,
  DISK_BYTES,
  digest,
  disk,
  expectDisk,
  failureOf,
  open,
  part,
  read,
  signal,
  untilAsked,
  whole,
} from './nbd-ground.ts';
import {
  CHUNK,
  chunk,
  DONE,
  holePayload,
  optionReply,
  REPLY,
  simpleReply,
  statusPayload,
} from './nbd-wire.ts';

describe('reading', () => {
  it('splits a read at multiples of the request size and puts the answers together', async () => {
    const { server, client } = await open({ onRequest: answer });
    expectDisk(await read(client, 1000, DISK_BYTES - 2000), 1000);
    expect(server.requests.map(({ offset }) => offset / NBD_REQUEST_BYTES)).toEqual([
      512 / NBD_REQUEST_BYTES,
      1,
      2,
      3,
    ]);
  });

  it('keeps to the least and the most that the server allows', async () => {
    const { server, client } = await open({
      blockSizes: { minBytes: 4096, maxBytes: 70_000 },
      onRequest: answer,
    });
    expect(client).toMatchObject({ minBlockBytes: 4096, maxReadBytes: 69_632 });
    expectDisk(await read(client, 4095, 200_000), 4095);
    expectDisk(await read(client, DISK_BYTES - 1, 1), DISK_BYTES - 1);
    for (const { offset, length } of server.requests) {
      expect([offset % 4096, length % 4096, length <= 69_632]).toEqual([0, 0, true]);
    }
  });

  it('reads the last bytes of an export that ends within a block', async () => {
    const bytes = 4096 * 3 + 100;
    const { server, client } = await open({
      bytes,
      blockSizes: { minBytes: 4096, maxBytes: 2 ** 25 },
      onRequest: answer,
    });
    expectDisk(await read(client, bytes - 10, 10), bytes - 10);
    expect(server.requests).toMatchObject([{ offset: 4096 * 3, length: 100 }]);
  });

  it('takes answers out of order, in pieces and with holes between', async () => {
    const held: FakeRequest[] = [];
    const { client } = await open({
      onRequest: (request, connection) => {
        held.push(request);
        if (held.length < 4) return;
        for (const each of held.reverse()) connection.send(part(each, { from: 300_000, to: each.length }));
        for (const each of held) {
          const { cookie, offset } = each;
          connection.send(
            chunk({ cookie, type: CHUNK.hole, payload: holePayload(offset + 100, 299_900) }),
            part(each, { from: 0, to: 100 }),
            chunk({ cookie, type: CHUNK.none, flags: DONE }),
          );
        }
      },
    });
    const expected = Buffer.from(disk);
    for (let at = 0; at < DISK_BYTES; at += NBD_REQUEST_BYTES) expected.fill(0, at + 100, at + 300_000);
    expect(digest(await read(client, 0, DISK_BYTES))).toBe(digest(expected));
  });

  it('reads by simple replies where the server has no others', async () => {
    const { client } = await open({
      hasStructuredReplies: false,
      onRequest: (request, { send }) => {
        if (request.offset === 0) send(simpleReply(request.cookie, 5));
        else send(simpleReply(request.cookie, 0, contentOf(request)));
      },
    });
    expectDisk(await read(client, NBD_REQUEST_BYTES, 2 * NBD_REQUEST_BYTES), NBD_REQUEST_BYTES);
    expect(await failureOf(read(client, 0, 512))).toMatchObject({ errno: 'EIO', offsetBytes: 0 });
    expectDisk(await read(client, 512 * 1024, 512), 512 * 1024);
  });

  it('has no more requests in flight than agreed, however many are wanted', async () => {
    let inFlight = 0;
    let most = 0;
    const { client } = await open({
      onRequest: (request, connection) => {
        inFlight += 1;
        most = Math.max(most, inFlight);
        setImmediate(() => {
          inFlight -= 1;
          answer(request, connection);
        });
      },
    });
    const reads = await Promise.all(Array.from({ length: 40 }, (_, at) => read(client, at * 512, 512)));
    for (const [at, bytes] of reads.entries()) expectDisk(bytes, at * 512);
    expect(most).toBe(NBD_REQUESTS_IN_FLIGHT);
  });

  it('reads nothing without asking, and refuses what lies outside of the disk', async () => {
    const { server, client } = await open({ onRequest: answer });
    expect(await read(client, DISK_BYTES, 0)).toHaveLength(0);
    await expect(read(client, DISK_BYTES - 1, 2)).rejects.toThrow(RangeError);
    await expect(read(client, -1, 1)).rejects.toThrow(RangeError);
    expect(server.requests).toEqual([]);
  });
});

describe('connections', () => {
  it('share the requests where the server can serve several', async () => {
    const askedOver = new Set<number>();
    const { client, server } = await open(
      {
        canMultiConn: true,
        onRequest: (request, connection) => {
          askedOver.add(connection.index);
          answer(request, connection);
        },
      },
      { connections: 3 },
    );
    expect(client).toMatchObject({ connections: 3, canMultiConn: true });
    expectDisk(await read(client, 0, DISK_BYTES), 0);
    expect(askedOver.size).toBe(3);
    await client[Symbol.asyncDispose]();
    expect(server.requests.filter(({ command }) => command === 2)).toHaveLength(3);
  });

  it('are one where the server says nothing of several', async () => {
    const { client, server } = await open({ onRequest: answer }, { connections: 3 });
    expect([client.connections, client.canMultiConn, server.connections.length]).toEqual([1, false, 1]);
  });

  it('are fewer where the server takes no more', async () => {
    const { client } = await open(
      {
        canMultiConn: true,
        onConnection: ({ index, socket }) => void (index > 0 && socket.destroy()),
        onRequest: answer,
      },
      { connections: 4 },
    );
    expect(client.connections).toBe(1);
    expectDisk(await read(client, 0, DISK_BYTES), 0);
  });

  it('are fewer where the server lets others wait', async () => {
    const { client } = await open(
      { canMultiConn: true, isSilent: ({ index }) => index > 0, onRequest: answer },
      { connections: 2, requestTimeoutMs: 150 },
    );
    expect(client.connections).toBe(1);
    expectDisk(await read(client, 0, DISK_BYTES), 0);
  });

  it('have ids of their own for contexts', async () => {
    const { client } = await open(
      {
        canMultiConn: true,
        contexts: [ALLOCATION],
        onRequest: ({ cookie }, { send, index }) =>
          send(
            chunk({
              cookie,
              type: CHUNK.status,
              flags: DONE,
              payload: statusPayload(1000 + index, [[512, index]]),
            }),
          ),
      },
      { contexts: [ALLOCATION] },
    );
    const ask = () => client.blockStatus({ context: ALLOCATION, offsetBytes: 0, lengthBytes: 512 }, signal);
    expect(await Promise.all([ask(), ask()])).toEqual([
      [{ lengthBytes: 512, flags: 0 }],
      [{ lengthBytes: 512, flags: 1 }],
    ]);
  });

  it('are refused when they show different disks', async () => {
    const opening = open(
      {
        canMultiConn: true,
        onOption: (option, _data, { index }) =>
          option === 10 && index > 0 ? optionReply(10, REPLY.ack) : undefined,
        contexts: [ALLOCATION],
      },
      { contexts: [ALLOCATION] },
    );
    await expect(opening).rejects.toMatchObject({ code: 'source-changed' });
  });

  it('all end when one is lost, and so does every read', async () => {
    const { client, server } = await open({ canMultiConn: true }, { connections: 2 });
    const reads = [0, 1, 2, 3].map((at) => read(client, at * 512, 512));
    const outcomes = Promise.allSettled(reads);
    await untilAsked(server, 4);
    server.connections[0]?.socket.destroy();
    for (const outcome of await outcomes) {
      expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'tool-failed', retryable: true } });
    }
    await expect(read(client, 0, 1)).rejects.toMatchObject({ code: 'tool-failed' });
  });
});

describe('an abort', () => {
  it('rejects the read at once with its reason; the late reply is taken and written nowhere', async () => {
    const held: { request: FakeRequest; connection: FakeConnection }[] = [];
    const { client, server } = await open({
      onRequest: (request, connection) => void held.push({ request, connection }),
    });
    const aborting = new AbortController();
    const into = Buffer.alloc(NBD_REQUEST_BYTES);
    const outcome = client.read({ offsetBytes: 0, into }, aborting.signal).catch((error: unknown) => error);
    await untilAsked(server, 1);
    const [late] = held;
    if (late === undefined) return expect.unreachable();
    // Half of the reply lies in the buffer when it is taken back.
    late.connection.send(whole(late.request).subarray(0, 300_000));
    await expect.poll(() => into.subarray(0, 100).equals(disk.subarray(0, 100)), { interval: 2 }).toBe(true);
    const reason = new Error('enough');
    aborting.abort(reason);
    expect(await outcome).toBe(reason);
    into.fill(0);
    const next = read(client, 4096, 4096);
    await untilAsked(server, 2);
    late.connection.send(whole(late.request).subarray(300_000));
    const [, second] = held;
    if (second !== undefined) answer(second.request, second.connection);
    expectDisk(await next, 4096);
    expect(into.equals(Buffer.alloc(NBD_REQUEST_BYTES))).toBe(true);
  });

  it('before the read sends nothing', async () => {
    const { client, server } = await open({ onRequest: answer });
    const aborted = AbortSignal.abort(new Error('enough'));
    await expect(client.read({ offsetBytes: 0, into: Buffer.alloc(1) }, aborted)).rejects.toThrow('enough');
    expectDisk(await read(client, 0, 512), 0);
    expect(server.requests).toHaveLength(1);
  });

  it('of the opening ends it with its reason', async () => {
    const aborting = new AbortController();
    const opening = open(
      {
        onOption: () => {
          setImmediate(() => aborting.abort(new Error('enough')));
          return Buffer.alloc(0);
        },
      },
      { signal: aborting.signal },
    );
    await expect(opening).rejects.toThrow('enough');
  });

  it('does not warn of many reads that share one signal', async () => {
    const warnings: Error[] = [];
    const keep = (warning: Error) => void warnings.push(warning);
    process.on('warning', keep);
    onTestFinished(() => void process.off('warning', keep));
    const { client } = await open({ onRequest: answer });
    const shared = new AbortController();
    await Promise.all(
      Array.from({ length: 40 }, () =>
        client.read({ offsetBytes: 0, into: Buffer.alloc(512) }, shared.signal),
      ),
    );
    await new Promise(setImmediate);
    expect(warnings).toEqual([]);
  });
});

describe('the end', () => {
  it('says goodbye, and fails what comes after', async () => {
    const { client, server } = await open({ onRequest: answer });
    await client[Symbol.asyncDispose]();
    await client[Symbol.asyncDispose]();
    expect(server.requests).toMatchObject([{ command: 2 }]);
    await expect(read(client, 0, 1)).rejects.toMatchObject({ code: 'cancelled' });
  });

  it('does not wait for a server that never hangs up, and fails what is in flight', async () => {
    const { client, server } = await open({});
    const waiting = failureOf(read(client, 0, 512));
    await untilAsked(server, 1);
    await client[Symbol.asyncDispose]();
    expect(await waiting).toMatchObject({ code: 'cancelled' });
  });
});
