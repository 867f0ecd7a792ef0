import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createHandshake } from '../../src/blocks/nbd-handshake.ts';
import { type NbdExport, type NbdWishes, negotiate } from '../../src/blocks/nbd-negotiation.ts';
import { u32be, u64be } from '../images/sample-images.ts';
import { blockSizeInfo, exportInfo, greeting, optionReply, REPLY, u16be } from './nbd-wire.ts';

const WISHES: NbdWishes = { uri: 'nbd://h/disk', exportName: 'disk', isTls: false, contexts: [] };
const EXPORT = Buffer.concat([u16be(0), exportInfo({ bytes: 1_000_000n, canMultiConn: true })]);
const OPENED = Buffer.concat([optionReply(7, REPLY.info, EXPORT), optionReply(7, REPLY.ack)]);
const STRUCTURED = optionReply(8, REPLY.ack);
const UNSUPPORTED = (option: number) => optionReply(option, REPLY.unsupported);

type Talk = { opened: NbdExport; sent: Buffer; tlsAfterBytes: number | null };

/** All that the server will say is there at once, cut as given. */
async function talk(pieces: readonly Buffer[], wishes: Partial<NbdWishes> = {}): Promise<Talk> {
  const handshake = createHandshake();
  const sent: Buffer[] = [];
  let tlsAfterBytes: number | null = null;
  for (const piece of pieces) handshake.push(piece);
  const line = {
    take: handshake.take,
    send: (bytes: Buffer) => void sent.push(bytes),
    startTls: async () => {
      tlsAfterBytes = Buffer.concat(sent).length;
    },
  };
  const failing = setImmediate(() => handshake.fail(new Error('nothing more comes')));
  const opened = await negotiate(line, { ...WISHES, ...wishes });
  clearImmediate(failing);
  handshake.checkEmpty();
  return { opened, sent: Buffer.concat(sent), tlsAfterBytes };
}

const contextReply = (id: number, name: string) =>
  optionReply(10, REPLY.metaContext, Buffer.concat([u32be(id), Buffer.from(name)]));

describe('negotiate', () => {
  it('agrees on structured replies, contexts and limits, however the bytes are cut', async () => {
    const bytes = Buffer.concat([
      greeting(),
      STRUCTURED,
      contextReply(3, 'base:allocation'),
      contextReply(9, 'qemu:dirty-bitmap:b'),
      optionReply(10, REPLY.ack),
      optionReply(7, REPLY.info, Buffer.concat([u16be(2), Buffer.from('described')])),
      optionReply(7, REPLY.info, blockSizeInfo({ minBytes: 4096, maxBytes: 100_000 })),
      OPENED,
    ]);
    const wanted = ['base:allocation', 'qemu:dirty-bitmap:b', 'x-none:such'];
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat({ max: bytes.length }), { maxLength: 30 }), async (places) => {
        const sorted = [0, ...places, bytes.length].sort((a, b) => a - b);
        const pieces = sorted.slice(1).map((end, index) => bytes.subarray(sorted[index], end));
        const { opened } = await talk(pieces, { contexts: wanted });
        expect(opened).toEqual({
          bytes: 1_000_000,
          canMultiConn: true,
          hasStructuredReplies: true,
          minBlockBytes: 4096,
          maxReadBytes: 98_304,
          contexts: new Map([
            [3, 'base:allocation'],
            [9, 'qemu:dirty-bitmap:b'],
          ]),
        });
      }),
      { numRuns: 50 },
    );
  });

  it('sends what the protocol prescribes', async () => {
    const { sent } = await talk(
      [greeting(), STRUCTURED, contextReply(1, 'a:b'), optionReply(10, REPLY.ack), OPENED],
      {
        contexts: ['a:b'],
      },
    );
    const option = (number: number, data: Buffer) =>
      Buffer.concat([Buffer.from('IHAVEOPT'), u32be(number), u32be(data.length), data]);
    const name = Buffer.concat([u32be(4), Buffer.from('disk')]);
    expect(sent.toString('hex')).toBe(
      Buffer.concat([
        u32be(3),
        option(8, Buffer.alloc(0)),
        option(10, Buffer.concat([name, u32be(1), u32be(3), Buffer.from('a:b')])),
        option(7, Buffer.concat([name, u16be(1), u16be(3)])),
      ]).toString('hex'),
    );
  });

  it('does without structured replies and contexts where the server has none', async () => {
    const { opened } = await talk([greeting(), UNSUPPORTED(8), OPENED], { contexts: ['base:allocation'] });
    expect(opened).toMatchObject({ hasStructuredReplies: false, contexts: new Map(), minBlockBytes: 512 });
  });

  it('has no contexts where the server refuses the question', async () => {
    const replies = [greeting(), STRUCTURED, contextReply(1, 'base:allocation'), UNSUPPORTED(10), OPENED];
    const { opened } = await talk(replies, { contexts: ['base:allocation'] });
    expect(opened.contexts.size).toBe(0);
  });

  it('opens by name where the server knows nothing newer', async () => {
    const size = exportInfo({ bytes: 4096n });
    const old = await talk([greeting(0), size, Buffer.alloc(124)]);
    expect(old.opened).toMatchObject({ bytes: 4096, hasStructuredReplies: false, canMultiConn: false });
    expect(old.sent.subarray(0, 4).readUInt32BE(0)).toBe(0);
    const fixed = await talk([greeting(), UNSUPPORTED(8), UNSUPPORTED(7), size]);
    expect(fixed.opened.bytes).toBe(4096);
  });

  it('starts TLS before anything else', async () => {
    const { tlsAfterBytes } = await talk([greeting(), optionReply(5, REPLY.ack), STRUCTURED, OPENED], {
      isTls: true,
    });
    expect(tlsAfterBytes).toBe(4 + 16);
  });

  it.each([
    ['has no TLS', [greeting(), UNSUPPORTED(5)], true, 'refused TLS: it does not know it'],
    ['is too old for TLS', [greeting(0)], true, 'refused TLS: its protocol is too old'],
    ['insists on TLS', [greeting(), optionReply(8, REPLY.tlsRequired)], false, 'Write nbds://'],
    [
      'insists on TLS for this export',
      [greeting(), STRUCTURED, optionReply(7, REPLY.tlsRequired)],
      false,
      'Write nbds://',
    ],
    [
      'has no such export',
      [greeting(), STRUCTURED, optionReply(7, REPLY.unknown, Buffer.from('no\u001b[31m disk'))],
      false,
      'has no export "disk" ("no [31m disk")',
    ],
    [
      'forbids it',
      [greeting(), STRUCTURED, optionReply(7, REPLY.policy, Buffer.from('go away'))],
      false,
      'its policy forbids it ("go away")',
    ],
  ])('says that the server %s', async (_what, replies, isTls, message) => {
    await expect(talk(replies, { isTls })).rejects.toThrow(message);
  });

  it.each([
    ['is none', Buffer.from('HTTP/1.1 400 Bad Request\r\n'), 'does not greet as an NBD server'],
    [
      'is of another age',
      Buffer.concat([Buffer.from('NBDMAGIC'), u64be(0x0000_4202_8186_1253n), u16be(0)]),
      'oldstyle',
    ],
    ['has an unknown version', Buffer.from('NBDMAGICNEWOPT!!..'), 'unknown protocol version'],
    ['answers another option', Buffer.concat([greeting(), optionReply(3, 1)]), 'replies to option 3'],
    ['answers with noise', Buffer.concat([greeting(), Buffer.alloc(20)]), 'does not begin as one'],
    [
      'sends endless replies',
      Buffer.concat([greeting(), STRUCTURED, ...Array(300).fill(optionReply(7, 3, EXPORT))]),
      'do not end',
    ],
    [
      'sends a huge reply',
      Buffer.concat([greeting(), optionReply(8, 1, Buffer.alloc(20_000))]),
      '20000 bytes in reply',
    ],
    [
      'states no size',
      Buffer.concat([greeting(), STRUCTURED, optionReply(7, 1)]),
      'without stating its size',
    ],
    [
      'states a size beyond reason',
      Buffer.concat([
        greeting(),
        STRUCTURED,
        optionReply(7, 3, Buffer.concat([u16be(0), exportInfo({ bytes: 2n ** 63n })])),
      ]),
      'a size or place of',
    ],
    [
      'wants blocks of no size',
      Buffer.concat([
        greeting(),
        STRUCTURED,
        optionReply(7, 3, blockSizeInfo({ minBytes: 0, maxBytes: 4096 })),
      ]),
      'blocks of at least 0',
    ],
    [
      'allows less than a block',
      Buffer.concat([
        greeting(),
        STRUCTURED,
        optionReply(7, 3, blockSizeInfo({ minBytes: 4096, maxBytes: 512 })),
      ]),
      'at most 512',
    ],
    [
      'talks on',
      Buffer.concat([greeting(), STRUCTURED, OPENED, Buffer.from('?')]),
      '1 bytes more than was agreed',
    ],
  ])('refuses a server that %s', async (_what, bytes, message) => {
    await expect(talk([bytes])).rejects.toThrow(message);
  });

  it('refuses a server that gives two contexts one id', async () => {
    const replies = [
      greeting(),
      STRUCTURED,
      contextReply(1, 'a:b'),
      contextReply(1, 'a:c'),
      optionReply(10, REPLY.ack),
    ];
    await expect(talk(replies, { contexts: ['a:b', 'a:c'] })).rejects.toThrow('two contexts the id 1');
  });

  it('refuses a server that talks without end before it is asked', () => {
    const handshake = createHandshake();
    const flood = () => {
      for (let count = 0; count < 20; count += 1) handshake.push(Buffer.alloc(64 * 1024));
    };
    expect(flood).toThrow('talks without being asked');
  });
});
