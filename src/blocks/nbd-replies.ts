/**
 * Reads the replies of an NBD server out of a stream of bytes that arrives in pieces of any size. Pure: what was read is
 * told to the receiver of its request. Data is passed on as it comes and never gathered, so the only memory is a
 * block of `GATHERED_BYTES`. https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md#transmission
 */
import { MAX_STRING_BYTES, NbdViolation, readLength64 } from './nbd-protocol.ts';

/** A run of bytes of the export. */
export type Span = { offsetBytes: number; lengthBytes: number };

export type ReplyFailure = {
  errorNumber: number;
  /** Where it failed, if the server says. */
  offsetBytes: number | null;
  /** In the server's words; not to be trusted. */
  said: string;
};

/**
 * Takes in the reply to one request. Each method throws `NbdViolation` when the server may not say this. Bytes are lent:
 * they change when the method has returned.
 */
export type ReplyReceiver = {
  /** What a simple reply without an error brings along; null: such a reply makes no sense here. */
  readonly simpleData: Span | null;
  /** Data of this span begins. */
  expectData(span: Span): void;
  data(offsetBytes: number, bytes: Uint8Array): void;
  hole(span: Span): void;
  /** Descriptors of this context begin. */
  expectStatus(contextId: number): void;
  /** Descriptors of the context that began last: 32 bits of length and 32 of flags each. */
  status(descriptors: Buffer): void;
  fail(failure: ReplyFailure): void;
};

export type ReplyReceivers = {
  /** Throws `NbdViolation` where no request with this cookie is in flight. */
  find(cookie: number): ReplyReceiver;
  /** The reply is whole. May throw `NbdViolation`: it is not. */
  finish(cookie: number): void;
};

export type ReplyDecoder = { push(bytes: Uint8Array): void };

const SIMPLE_MAGIC = 0x6744_6698;
const STRUCTURED_MAGIC = 0x668e_33ef;
const FLAG_DONE = 1;
const CHUNK = { none: 0, offsetData: 1, offsetHole: 2, blockStatus: 5 } as const;
const ERROR_BIT = 0x8000;
const ERROR_OFFSET = 0x8002;
const DESCRIPTOR_BYTES = 8;
/** "Servers SHOULD NOT send more than 2^20 extents in a single reply chunk": more would only keep us busy. */
const MAX_DESCRIPTORS = 2 ** 20;
/** Error number, length of the message, message, place. */
const MAX_ERROR_BYTES = 6 + MAX_STRING_BYTES + 8;
/** Holds the longest error; descriptors are taken in steps of this, 4096 at a time. */
const GATHERED_BYTES = 32 * 1024;

/** `exactly`: that many bytes in one piece. `upTo`: what has arrived of them, at least one. */
type Want = { kind: 'exactly' | 'upTo'; bytes: number };
type Decoding = Generator<Want, void, Buffer>;

export function createReplyDecoder(receivers: ReplyReceivers): ReplyDecoder {
  const decoding = decodeReplies(receivers);
  const gathered = Buffer.allocUnsafe(GATHERED_BYTES);
  let gatheredBytes = 0;
  let want = wanted(decoding.next());
  const hand = (bytes: Buffer): void => {
    want = wanted(decoding.next(bytes));
  };

  const push = (lent: Uint8Array): void => {
    const bytes = Buffer.from(lent.buffer, lent.byteOffset, lent.length);
    for (let at = 0; at < bytes.length; ) {
      const lengthBytes = Math.min(want.bytes - gatheredBytes, bytes.length - at);
      const piece = bytes.subarray(at, at + lengthBytes);
      at += lengthBytes;
      if (want.kind === 'upTo' || lengthBytes === want.bytes) {
        hand(piece);
        continue;
      }
      piece.copy(gathered, gatheredBytes);
      gatheredBytes += lengthBytes;
      if (gatheredBytes < want.bytes) continue;
      gatheredBytes = 0;
      hand(gathered.subarray(0, want.bytes));
    }
  };
  return { push };
}

function wanted(result: IteratorResult<Want, void>): Want {
  if (result.done === true) throw new TypeError('replies do not end by themselves');
  return result.value;
}

function* decodeReplies(receivers: ReplyReceivers): Decoding {
  for (;;) {
    const magic = (yield exactly(4)).readUInt32BE(0);
    if (magic === STRUCTURED_MAGIC) yield* decodeChunk(receivers);
    else if (magic === SIMPLE_MAGIC) yield* decodeSimpleReply(receivers);
    else throw new NbdViolation(`a reply begins with 0x${magic.toString(16)}`);
  }
}

function* decodeSimpleReply(receivers: ReplyReceivers): Decoding {
  const header = yield exactly(12);
  const errorNumber = header.readUInt32BE(0);
  const cookie = readCookie(header, 4);
  const receiver = receivers.find(cookie);
  if (errorNumber !== 0) receiver.fail({ errorNumber, offsetBytes: null, said: '' });
  else if (receiver.simpleData !== null) yield* decodeData(receiver, receiver.simpleData);
  else throw new NbdViolation('a simple reply stands where only a structured one may');
  receivers.finish(cookie);
}

type Chunk = { type: number; isLast: boolean; lengthBytes: number };

function* decodeChunk(receivers: ReplyReceivers): Decoding {
  const header = yield exactly(16);
  const chunk: Chunk = {
    isLast: (header.readUInt16BE(0) & FLAG_DONE) !== 0,
    type: header.readUInt16BE(2),
    lengthBytes: header.readUInt32BE(12),
  };
  const cookie = readCookie(header, 4);
  yield* decodePayload(chunk, receivers.find(cookie));
  if (chunk.isLast) receivers.finish(cookie);
}

function* decodePayload(chunk: Chunk, receiver: ReplyReceiver): Decoding {
  const { type, lengthBytes } = chunk;
  switch (type) {
    case CHUNK.none:
      if (lengthBytes !== 0 || !chunk.isLast) throw wrongChunk(chunk);
      return;
    case CHUNK.offsetData: {
      if (lengthBytes < 9) throw wrongChunk(chunk);
      const offsetBytes = readLength64(yield exactly(8), 0);
      yield* decodeData(receiver, { offsetBytes, lengthBytes: lengthBytes - 8 });
      return;
    }
    case CHUNK.offsetHole: {
      if (lengthBytes !== 12) throw wrongChunk(chunk);
      const payload = yield exactly(12);
      receiver.hole({ offsetBytes: readLength64(payload, 0), lengthBytes: payload.readUInt32BE(8) });
      return;
    }
    case CHUNK.blockStatus:
      yield* decodeStatus(chunk, receiver);
      return;
    default:
      if ((type & ERROR_BIT) === 0) throw wrongChunk(chunk);
      yield* decodeFailure(chunk, receiver);
  }
}

function* decodeData(receiver: ReplyReceiver, span: Span): Decoding {
  receiver.expectData(span);
  const endBytes = span.offsetBytes + span.lengthBytes;
  for (let at = span.offsetBytes; at < endBytes; ) {
    const piece = yield { kind: 'upTo', bytes: endBytes - at };
    receiver.data(at, piece);
    at += piece.length;
  }
}

function* decodeStatus(chunk: Chunk, receiver: ReplyReceiver): Decoding {
  const count = (chunk.lengthBytes - 4) / DESCRIPTOR_BYTES;
  if (!Number.isInteger(count) || count < 1 || count > MAX_DESCRIPTORS) throw wrongChunk(chunk);
  receiver.expectStatus((yield exactly(4)).readUInt32BE(0));
  for (let leftBytes = count * DESCRIPTOR_BYTES; leftBytes > 0; ) {
    const descriptors = yield exactly(Math.min(leftBytes, GATHERED_BYTES));
    receiver.status(descriptors);
    leftBytes -= descriptors.length;
  }
}

/** An error chunk of an unknown type is an error all the same, as long as its message fits. */
function* decodeFailure(chunk: Chunk, receiver: ReplyReceiver): Decoding {
  const { type, lengthBytes } = chunk;
  const placeBytes = type === ERROR_OFFSET ? 8 : 0;
  if (lengthBytes < 6 + placeBytes || lengthBytes > MAX_ERROR_BYTES) throw wrongChunk(chunk);
  const payload = yield exactly(lengthBytes);
  const errorNumber = payload.readUInt32BE(0);
  const messageEnd = 6 + payload.readUInt16BE(4);
  if (errorNumber === 0 || messageEnd > lengthBytes - placeBytes) throw wrongChunk(chunk);
  receiver.fail({
    errorNumber,
    offsetBytes: type === ERROR_OFFSET ? readLength64(payload, messageEnd) : null,
    said: payload.toString('utf8', 6, messageEnd),
  });
}

function exactly(bytes: number): Want {
  return { kind: 'exactly', bytes };
}

/** One that is none of ours may be too large for a number, and is then rounded: it stays none of ours. */
function readCookie(bytes: Buffer, at: number): number {
  return Number(bytes.readBigUInt64BE(at));
}

function wrongChunk({ type, lengthBytes, isLast }: Chunk): NbdViolation {
  return new NbdViolation(
    `a reply has a chunk of type ${type} with ${lengthBytes} bytes${isLast ? ', its last' : ''}, which does not fit together`,
  );
}
