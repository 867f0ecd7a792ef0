import { describe, expect, it } from 'vitest';
import { NBD_REQUEST_BYTES, openNbd } from '../../src/blocks/nbd-client.ts';
import { NbdRequestError } from '../../src/blocks/nbd-error.ts';
import { type FakeConnection, type FakeRequest, openFakeNbd } from './nbd-fake-server.ts';
import {
  answer,
  contentOf,
  DISK_BYTES,
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
  dataPayload,
  errorPayload,
  holePayload,
  simpleReply,
  statusPayload,
} from './nbd-wire.ts';

describe('a block that cannot be read', () => {
  it('fails with its offset and errno, and everything else can still be read', async () => {
    const bad = NBD_REQUEST_BYTES + 4096;
    const { client } = await open({
      onRequest: (request, connection) => {
        const { cookie, offset, length } = request;
        if (offset > bad || offset + length <= bad) return answer(request, connection);
        const payload = errorPayload({ errorNumber: 5, said: 'bad\u0007 sector', offset: bad });
        connection.send(
          part(request, { from: 0, to: 4096 }),
          chunk({ cookie, type: CHUNK.errorOffset, flags: DONE, payload }),
        );
      },
    });
    const failure = await failureOf(read(client, 0, DISK_BYTES));
    expect(failure).toBeInstanceOf(NbdRequestError);
    expect(failure).toMatchObject({
      code: 'image-unreadable',
      retryable: true,
      offsetBytes: bad,
      errno: 'EIO',
    });
    expect(failure.message).toContain('("bad  sector")');
    expect(failure.context).toMatchObject({ offsetBytes: bad, errno: 'EIO' });
    expectDisk(await read(client, 2 * NBD_REQUEST_BYTES, NBD_REQUEST_BYTES), 2 * NBD_REQUEST_BYTES);
  });

  it.each([
    [12, 'ENOMEM', true],
    [1, 'EPERM', false],
    [22, 'EINVAL', false],
    [28, 'ENOSPC', false],
    [4711, 'E4711', false],
  ])('names error %i as %s', async (errorNumber, errno, retryable) => {
    const { client } = await open({
      onRequest: ({ cookie }, { send }) =>
        send(chunk({ cookie, type: CHUNK.error, flags: DONE, payload: errorPayload({ errorNumber }) })),
    });
    expect(await failureOf(read(client, 1024, 512))).toMatchObject({ errno, retryable, offsetBytes: 1024 });
  });

  it('that the server tells of while it shuts down ends the client', async () => {
    const { client } = await open({
      onRequest: ({ cookie }, { send }) =>
        send(chunk({ cookie, type: CHUNK.error, flags: DONE, payload: errorPayload({ errorNumber: 108 }) })),
    });
    expect(await failureOf(read(client, 0, 512))).toMatchObject({ errno: 'ESHUTDOWN', retryable: true });
    await expect(read(client, 0, 512)).rejects.toThrow('is shutting down');
  });

  it('leaves the buffer alone once the read has failed', async () => {
    const held: { request: FakeRequest; connection: FakeConnection }[] = [];
    const { client, server } = await open({
      onRequest: (request, connection) => {
        const { cookie, offset } = request;
        if (offset > 0) return void held.push({ request, connection });
        connection.send(
          chunk({ cookie, type: CHUNK.error, flags: DONE, payload: errorPayload({ errorNumber: 5 }) }),
        );
      },
    });
    const into = Buffer.alloc(DISK_BYTES);
    const failure = await failureOf(client.read({ offsetBytes: 0, into }, signal));
    expect(failure).toBeInstanceOf(NbdRequestError);
    await untilAsked(server, 4);
    for (const { request, connection } of held.splice(0)) answer(request, connection);
    // The connection is in order: this answer comes after those.
    const later = read(client, NBD_REQUEST_BYTES, 512);
    await untilAsked(server, 5);
    for (const { request, connection } of held) answer(request, connection);
    expectDisk(await later, NBD_REQUEST_BYTES);
    expect(into.equals(Buffer.alloc(DISK_BYTES))).toBe(true);
  });
});

describe('a server that breaks the protocol', () => {
  const first = ({ offset }: FakeRequest): boolean => offset === 0;
  const lies: readonly (readonly [string, string, (request: FakeRequest) => Buffer[]])[] = [
    [
      'sends more than was asked',
      'outside of what was asked',
      ({ cookie, offset, length }) => [
        chunk({
          cookie,
          type: CHUNK.data,
          flags: DONE,
          payload: dataPayload(offset, Buffer.alloc(length + 1)),
        }),
      ],
    ],
    [
      'sends another place',
      'outside of what was asked',
      ({ cookie, offset, length }) => [
        chunk({
          cookie,
          type: CHUNK.data,
          flags: DONE,
          payload: dataPayload(offset + length, Buffer.alloc(512)),
        }),
      ],
    ],
    [
      'sends a hole beyond what was asked',
      'outside of what was asked',
      ({ cookie, offset, length }) => [
        chunk({ cookie, type: CHUNK.hole, payload: holePayload(offset, length + 1) }),
      ],
    ],
    [
      'sends bytes twice',
      'or once more',
      (request) => [
        part(request, { from: 0, to: 1024 }),
        part(request, { from: 512, to: request.length, flags: DONE }),
      ],
    ],
    [
      'ends a reply early',
      'with bytes missing',
      (request) => [part(request, { from: 0, to: 512, flags: DONE })],
    ],
    [
      'ends a reply without any',
      'with bytes missing',
      ({ cookie }) => [chunk({ cookie, type: CHUNK.none, flags: DONE })],
    ],
    [
      'replies to nothing',
      'a request that nobody made',
      (request) => [whole({ ...request, cookie: request.cookie + 1_000n })],
    ],
    [
      'replies to a cookie beyond numbers',
      'a request that nobody made',
      (request) => [whole({ ...request, cookie: 2n ** 64n - 1n })],
    ],
    [
      'replies simply where it agreed not to',
      'only a structured one',
      (request) => [simpleReply(request.cookie, 0, contentOf(request))],
    ],
    [
      'gives status for a read',
      'answered a read with block status',
      ({ cookie }) => [chunk({ cookie, type: CHUNK.status, payload: statusPayload(1, [[512, 0]]) })],
    ],
    [
      'reports an error elsewhere',
      'outside of what was asked',
      ({ cookie, offset, length }) => [
        chunk({
          cookie,
          type: CHUNK.errorOffset,
          payload: errorPayload({ errorNumber: 5, offset: offset + length }),
        }),
      ],
    ],
    [
      'reports errors without end',
      'errors without end',
      ({ cookie }) =>
        Array.from({ length: 2000 }, () =>
          chunk({ cookie, type: CHUNK.error, payload: errorPayload({ errorNumber: 5 }) }),
        ),
    ],
    ['sends noise', 'a reply begins with', () => [Buffer.alloc(100, 0x41)]],
  ];

  it.each(lies)('and %s ends the client with all that is in flight', async (_what, message, lie) => {
    const { client, server } = await open({
      onRequest: (request, { send }) => {
        if (!first(request)) send(...lie(request));
      },
    });
    const waiting = failureOf(read(client, 0, 512));
    await untilAsked(server, 1);
    const failure = await failureOf(read(client, NBD_REQUEST_BYTES, 4096));
    expect(failure).toMatchObject({ code: 'tool-failed', retryable: false });
    expect(failure.message).toContain('broke the protocol');
    expect(failure.message).toContain(message);
    expect(failure.message).toContain(server.uri);
    expect(await waiting).toBe(failure);
    expect(await failureOf(read(client, 0, 512))).toBe(failure);
  });
});

it('takes a second reply to the same request for a breach of the protocol', async () => {
  const { client } = await open({
    onRequest: (request, { send }) => {
      if (request.offset > 0) send(whole(request), whole(request));
    },
  });
  const waiting = failureOf(read(client, 0, 512));
  expectDisk(await read(client, 4096, 4096), 4096);
  expect((await waiting).message).toContain('a request that nobody made');
});

describe('a server that goes away', () => {
  it('in the middle of a reply fails the read', async () => {
    const { client } = await open({
      onRequest: (request, { socket }) => socket.end(whole(request).subarray(0, 1000)),
    });
    expect(await failureOf(read(client, 0, 512 * 1024))).toMatchObject({
      code: 'tool-failed',
      retryable: true,
      message: expect.stringContaining('ended the connection with 1 requests unanswered'),
    });
  });

  it('while options are negotiated fails the opening', async () => {
    const opening = open({ onOption: (_option, _data, { socket }) => void socket.destroy() });
    await expect(opening).rejects.toMatchObject({
      code: 'tool-failed',
      message: expect.stringContaining('hung up before the export was open'),
    });
  });

  it('before anybody connects is told with its errno', async () => {
    const { uri, [Symbol.asyncDispose]: close } = await openFakeNbd({});
    await close();
    await expect(openNbd({ uri, signal })).rejects.toMatchObject({
      code: 'tool-failed',
      retryable: true,
      context: { errno: 'ECONNREFUSED' },
    });
    const nowhere = openNbd({ uri: 'nbd+unix:///?socket=/no/such/socket', signal });
    await expect(nowhere).rejects.toMatchObject({ context: { errno: 'ENOENT' } });
  });
});

describe('a server that stalls', () => {
  it('fails what is in flight after the timeout', async () => {
    const { client } = await open(
      { onRequest: (request, { send }) => send(whole(request).subarray(0, 1000)) },
      { requestTimeoutMs: 150 },
    );
    expect(await failureOf(read(client, 0, 512 * 1024))).toMatchObject({
      code: 'tool-failed',
      retryable: true,
      message: expect.stringContaining('sent nothing for 0.15 s while 1 requests waited'),
    });
  });

  it('may take longer than the timeout as long as bytes come', async () => {
    const { client } = await open(
      {
        onRequest: (request, { send }) => {
          const bytes = whole({ ...request });
          let at = 0;
          const timer = setInterval(() => {
            send(bytes.subarray(at, at + 50));
            at += 50;
            if (at >= bytes.length) clearInterval(timer);
          }, 60);
        },
      },
      { requestTimeoutMs: 500 },
    );
    expectDisk(await read(client, 0, 512), 0);
  });

  it('may be idle for as long as it is not asked', async () => {
    const { client } = await open({ onRequest: answer }, { requestTimeoutMs: 100 });
    expectDisk(await read(client, 0, 512), 0);
    await new Promise((resolve) => setTimeout(resolve, 250));
    expectDisk(await read(client, 512, 512), 512);
  });

  it('fails the opening after the timeout', async () => {
    const opening = open({ isSilent: () => true }, { requestTimeoutMs: 100 });
    await expect(opening).rejects.toThrow('sent nothing for 0.1 s while the export was being opened');
  });
});
