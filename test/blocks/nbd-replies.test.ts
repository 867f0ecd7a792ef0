import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createReplyDecoder, type ReplyReceiver } from '../../src/blocks/nbd-replies.ts';
import { u32be } from '../images/sample-images.ts';
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

type Told = readonly (string | number | bigint | null)[];

/** Simple replies with data bring the 40 bytes at 1000 along. */
const SIMPLE_DATA = { offsetBytes: 1000, lengthBytes: 40 };

/** What is told of the bytes, one piece at a time; data that goes on in the next piece is told as one. */
function decode(pieces: readonly Buffer[]): Told[] {
  const told: Told[] = [];
  const tellBytes = (kind: string, at: number, bytes: Uint8Array): void => {
    const hex = Buffer.from(bytes).toString('hex');
    const [lastKind, lastAt, lastHex] = told.at(-1) ?? [];
    if (lastKind === kind && Number(lastAt) + String(lastHex).length / 2 === at) {
      told.splice(-1, 1, [kind, Number(lastAt), `${lastHex}${hex}`]);
    } else told.push([kind, at, hex]);
  };
  const receiver: ReplyReceiver = {
    simpleData: SIMPLE_DATA,
    expectData: ({ offsetBytes, lengthBytes }) => told.push(['expect', offsetBytes, lengthBytes]),
    data: (offsetBytes, bytes) => tellBytes('data', offsetBytes, bytes),
    hole: ({ offsetBytes, lengthBytes }) => told.push(['hole', offsetBytes, lengthBytes]),
    expectStatus: (id) => told.push(['context', id]),
    status: (descriptors) => told.push(['status', descriptors.toString('hex')]),
    fail: ({ errorNumber, offsetBytes, said }) => told.push(['fail', errorNumber, offsetBytes, said]),
  };
  const decoder = createReplyDecoder({
    find: (cookie) => {
      told.push(['find', cookie]);
      return receiver;
    },
    finish: (cookie) => told.push(['finish', cookie]),
  });
  for (const piece of pieces) {
    // Lent: what was not copied in time would be told as zeros.
    const lent = Buffer.from(piece);
    decoder.push(lent);
    lent.fill(0);
  }
  return told;
}

const cookies = fc.bigInt({ min: 1n, max: 2n ** 40n });
const offsets = fc.integer({ min: 0, max: 2 ** 50 });
const errorNumbers = fc.integer({ min: 1, max: 2 ** 32 - 1 });
const said = fc.string({ unit: 'grapheme', maxLength: 60 });
const noise = (constraints: fc.IntArrayConstraints) =>
  fc.uint8Array(constraints).map((bytes) => Buffer.from(bytes));
const flags = fc.constantFrom(0, DONE);

const messages = fc.oneof(
  fc.tuple(cookies, errorNumbers).map(([cookie, number]) => simpleReply(cookie, number)),
  fc
    .tuple(cookies, noise({ minLength: 40, maxLength: 40 }))
    .map(([cookie, data]) => simpleReply(cookie, 0, data)),
  cookies.map((cookie) => chunk({ cookie, type: CHUNK.none, flags: DONE })),
  fc
    .tuple(cookies, flags, offsets, noise({ minLength: 1, maxLength: 3000 }))
    .map(([cookie, flag, offset, data]) =>
      chunk({ cookie, type: CHUNK.data, flags: flag, payload: dataPayload(offset, data) }),
    ),
  fc
    .tuple(cookies, flags, offsets, fc.integer({ min: 0, max: 2 ** 32 - 1 }))
    .map(([cookie, flag, offset, lengthBytes]) =>
      chunk({ cookie, type: CHUNK.hole, flags: flag, payload: holePayload(offset, lengthBytes) }),
    ),
  fc.tuple(cookies, fc.integer({ min: 1, max: 6000 })).map(([cookie, count]) =>
    chunk({
      cookie,
      type: CHUNK.status,
      payload: statusPayload(
        7,
        Array.from({ length: count }, (_, at) => [at + 1, at % 4] as const),
      ),
    }),
  ),
  fc
    .tuple(cookies, flags, errorNumbers, said, fc.option(offsets, { nil: undefined }))
    .map(([cookie, flag, errorNumber, text, offset]) =>
      chunk({
        cookie,
        flags: flag,
        type: offset === undefined ? CHUNK.error : CHUNK.errorOffset,
        payload: errorPayload({ errorNumber, said: text, ...(offset === undefined ? {} : { offset }) }),
      }),
    ),
);

function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const sorted = [0, ...places.map((place) => place % (bytes.length + 1)), bytes.length].sort(
    (a, b) => a - b,
  );
  return sorted.slice(1).map((end, index) => bytes.subarray(sorted[index], end));
}

describe('createReplyDecoder', () => {
  it('tells the same of the same bytes, however they are cut', () => {
    fc.assert(
      fc.property(
        fc.array(messages, { minLength: 1, maxLength: 8 }),
        fc.array(fc.nat({ max: 200_000 }), { maxLength: 40 }),
        (sent, places) => {
          const bytes = Buffer.concat(sent);
          expect(decode(cut(bytes, places))).toEqual(decode([bytes]));
        },
      ),
      { numRuns: 200 },
    );
  });

  it('tells the same when each byte comes alone', () => {
    fc.assert(
      fc.property(fc.array(messages, { minLength: 1, maxLength: 2 }), (sent) => {
        const bytes = Buffer.concat(sent).subarray(0, 5000);
        const each = Array.from(bytes, (_byte, at) => bytes.subarray(at, at + 1));
        expect(decode(each)).toEqual(decode([bytes]));
      }),
      { numRuns: 30 },
    );
  });

  it('tells what was sent', () => {
    const data = Buffer.from('0123456789');
    const replies = [
      chunk({ cookie: 5n, type: CHUNK.data, payload: dataPayload(2 ** 40, data) }),
      chunk({ cookie: 6n, type: CHUNK.hole, flags: DONE, payload: holePayload(512, 1024) }),
      chunk({
        cookie: 5n,
        type: CHUNK.errorOffset,
        flags: DONE,
        payload: errorPayload({ errorNumber: 5, said: 'bad sector', offset: 77 }),
      }),
      simpleReply(8n, 22),
    ];
    expect(decode(replies)).toEqual([
      ['find', 5],
      ['expect', 2 ** 40, 10],
      ['data', 2 ** 40, data.toString('hex')],
      ['find', 6],
      ['hole', 512, 1024],
      ['finish', 6],
      ['find', 5],
      ['fail', 5, 77, 'bad sector'],
      ['finish', 5],
      ['find', 8],
      ['fail', 22, null, ''],
      ['finish', 8],
    ]);
  });

  it('takes an error chunk of a type it does not know for an error', () => {
    const payload = Buffer.concat([errorPayload({ errorNumber: 12, said: 'x' }), Buffer.alloc(20, 1)]);
    const told = decode([chunk({ cookie: 1n, type: 0x8123, flags: DONE, payload })]);
    expect(told).toEqual([
      ['find', 1],
      ['fail', 12, null, 'x'],
      ['finish', 1],
    ]);
  });

  it.each([
    ['another magic', u32be(0x1234_5678)],
    ['a chunk type that is unknown', chunk({ cookie: 1n, type: 9, payload: Buffer.alloc(4) })],
    ['a NONE that is not the last', chunk({ cookie: 1n, type: CHUNK.none })],
    ['a NONE with a payload', chunk({ cookie: 1n, type: CHUNK.none, flags: DONE, payload: Buffer.alloc(1) })],
    ['data without any', chunk({ cookie: 1n, type: CHUNK.data, payload: Buffer.alloc(8) })],
    ['a hole of another length', chunk({ cookie: 1n, type: CHUNK.hole, payload: Buffer.alloc(13) })],
    ['status without runs', chunk({ cookie: 1n, type: CHUNK.status, payload: Buffer.alloc(4) })],
    ['half a run of status', chunk({ cookie: 1n, type: CHUNK.status, payload: Buffer.alloc(16) })],
    [
      'an error without a number',
      chunk({ cookie: 1n, type: CHUNK.error, payload: errorPayload({ errorNumber: 0 }) }),
    ],
    ['an error cut short', chunk({ cookie: 1n, type: CHUNK.error, payload: Buffer.alloc(5, 1) })],
    [
      'an error message longer than its chunk',
      chunk({
        cookie: 1n,
        type: CHUNK.error,
        payload: Buffer.concat([u32be(5), Buffer.from('00ff', 'hex')]),
      }),
    ],
    [
      'an endless error message',
      chunk({
        cookie: 1n,
        type: CHUNK.error,
        payload: errorPayload({ errorNumber: 5, said: 'x'.repeat(9000) }),
      }),
    ],
    [
      'a place beyond what numbers hold',
      chunk({ cookie: 1n, type: CHUNK.hole, payload: Buffer.concat([Buffer.alloc(8, 0xff), u32be(1)]) }),
    ],
  ])('refuses %s', (_what, bytes) => {
    expect(() => decode([bytes])).toThrow(expect.objectContaining({ name: 'NbdViolation' }));
  });
});
