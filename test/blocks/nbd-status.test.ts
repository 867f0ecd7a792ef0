import { describe, expect, it } from 'vitest';
import type { NbdClient } from '../../src/blocks/nbd-client.ts';
import type { FakeNbdOptions } from './nbd-fake-server.ts';
import { ALLOCATION, DISK_BYTES, failureOf, open, signal } from './nbd-ground.ts';
import { CHUNK, chunk, DONE, simpleReply, statusPayload } from './nbd-wire.ts';

describe('block status', () => {
  const ask = (client: NbdClient, offsetBytes = 0, lengthBytes = DISK_BYTES - offsetBytes) =>
    client.blockStatus({ context: ALLOCATION, offsetBytes, lengthBytes }, signal);
  const answering = (runs: [number, number][]): FakeNbdOptions => ({
    contexts: [ALLOCATION],
    blockSizes: { minBytes: 4096, maxBytes: 2 ** 25 },
    onRequest: ({ cookie }, { send }) =>
      send(chunk({ cookie, type: CHUNK.status, flags: DONE, payload: statusPayload(1000, runs) })),
  });
  const contexts = [ALLOCATION];

  it('gives the runs, cut to what was asked', async () => {
    const { client, server } = await open(
      answering([
        [512, 0],
        [7680, 3],
        [2 ** 32 - 4096, 0],
      ]),
      { contexts },
    );
    expect(client.contexts).toEqual(contexts);
    expect(await ask(client, 9000, 10_000)).toEqual([
      { lengthBytes: 16_384 - 9000, flags: 3 },
      { lengthBytes: 19_000 - 16_384, flags: 0 },
    ]);
    expect(server.requests).toMatchObject([{ command: 7, offset: 8192, length: 12_288 }]);
  });

  it('may be of fewer bytes than asked', async () => {
    const { client } = await open(answering([[4096, 1]]), { contexts });
    expect(await ask(client)).toEqual([{ lengthBytes: 4096, flags: 1 }]);
  });

  it('keeps a bounded number of the runs of a long reply', async () => {
    const runs = Array.from({ length: 70_000 }, (_, at): [number, number] => [4096, at % 2]);
    const { client } = await open({ ...answering(runs), bytes: 2 ** 40 }, { contexts });
    expect(await ask(client, 0, 2 ** 40)).toHaveLength(65_536);
  });

  it('asks for what 32 bits can say of a large disk', async () => {
    const { client, server } = await open({ ...answering([[4096, 0]]), bytes: 2 ** 42 }, { contexts });
    await ask(client, 2 ** 40, 2 ** 41);
    expect(server.requests).toMatchObject([{ offset: 2 ** 40, length: 2 ** 32 - 2 ** 17 }]);
  });

  it('takes that of one context among several', async () => {
    const bitmap = 'qemu:dirty-bitmap:b';
    const { client } = await open(
      {
        contexts: [ALLOCATION, bitmap],
        onRequest: ({ cookie }, { send }) =>
          send(
            chunk({ cookie, type: CHUNK.status, payload: statusPayload(1000, [[512, 1]]) }),
            chunk({ cookie, type: CHUNK.status, payload: statusPayload(1100, [[1024, 0]]) }),
            chunk({ cookie, type: CHUNK.none, flags: DONE }),
          ),
      },
      { contexts: [bitmap, ALLOCATION, 'x-none:such'] },
    );
    expect(client.contexts).toEqual([ALLOCATION, bitmap]);
    const request = { context: bitmap, offsetBytes: 0, lengthBytes: 4096 };
    expect(await client.blockStatus(request, signal)).toEqual([{ lengthBytes: 1024, flags: 0 }]);
  });

  it('is refused for a context that the server did not agree to', async () => {
    const { client, server } = await open({}, { contexts });
    expect(client.contexts).toEqual([]);
    await expect(ask(client)).rejects.toMatchObject({
      code: 'image-unreadable',
      message: expect.stringContaining('gives no block status for base:allocation'),
    });
    expect(server.requests).toEqual([]);
  });

  it('fails with offset and errno', async () => {
    const { client } = await open(
      { contexts, onRequest: ({ cookie }, { send }) => send(simpleReply(cookie, 5)) },
      { contexts },
    );
    expect(await failureOf(ask(client, 8192))).toMatchObject({ errno: 'EIO', offsetBytes: 8192 });
  });

  it.each([
    ['of no bytes', 'for no bytes', statusPayload(1000, [[0, 0]])],
    ['of another context', 'which it was not asked for', statusPayload(7, [[512, 0]])],
    ['of less than a block', 'for none of the bytes asked about', statusPayload(1000, [[100, 0]])],
  ])('%s ends the client', async (_what, message, payload) => {
    const { client } = await open(
      {
        ...answering([]),
        onRequest: ({ cookie }, { send }) =>
          send(chunk({ cookie, type: CHUNK.status, flags: DONE, payload })),
      },
      { contexts },
    );
    await expect(ask(client, 5000, 100)).rejects.toThrow(message);
  });

  it('that is missing at the end of a reply ends the client', async () => {
    const { client } = await open(
      {
        contexts,
        onRequest: ({ cookie }, { send }) => send(chunk({ cookie, type: CHUNK.none, flags: DONE })),
      },
      { contexts },
    );
    await expect(ask(client)).rejects.toThrow('with a context missing');
  });
});
