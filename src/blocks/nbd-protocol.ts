/**
 * The words of the NBD protocol as bytes: what a reading client sends, and what it is sent while both sides negotiate.
 * Pure. https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md
 *
 * Offsets and lengths have 64 bits on the wire and are numbers here: `readLength64` refuses what a number cannot hold.
 */

export const OPTION = { exportName: 1, startTls: 5, go: 7, structuredReply: 8, setMetaContext: 10 } as const;
export type Option = keyof typeof OPTION;

export const COMMAND = { read: 0, disconnect: 2, blockStatus: 7 } as const;
export type Command = keyof typeof COMMAND;

/** Replies to options; those with bit 31 set are refusals. */
export const OPTION_REPLY = { ack: 1, info: 3, metaContext: 4 } as const;
export const REFUSAL = {
  unsupported: 0x8000_0001,
  policy: 0x8000_0002,
  invalid: 0x8000_0003,
  platform: 0x8000_0004,
  tlsRequired: 0x8000_0005,
  unknownExport: 0x8000_0006,
  shutdown: 0x8000_0007,
  blockSizeRequired: 0x8000_0008,
  tooBig: 0x8000_0009,
} as const;

export const GREETING_BYTES = 18;
export const OPTION_REPLY_BYTES = 20;
/** The answer to the option `exportName`: size and flags, then zeroes unless both sides agreed to leave them out. */
export const EXPORT_REPLY_BYTES = 10;
export const EXPORT_REPLY_ZEROES_BYTES = 124;
export const REQUEST_BYTES = 28;

/** "Strings" in the protocol: no name and no message may be longer. */
export const MAX_STRING_BYTES = 4096;
/** Where a server states no maximum: "a maximum payload size that is at least 2^25". */
export const DEFAULT_MAX_PAYLOAD_BYTES = 2 ** 25;
/** "MUST NOT be larger than 2^16". */
export const MAX_MIN_BLOCK_BYTES = 2 ** 16;

const SERVER_MAGIC = Buffer.from('NBDMAGIC', 'latin1');
const OPTION_MAGIC = Buffer.from('IHAVEOPT', 'latin1');
const OLDSTYLE_MAGIC = Buffer.from('00420281861253', 'hex');
const OPTION_REPLY_MAGIC = Buffer.from('0003e889045565a9', 'hex');
const REQUEST_MAGIC = 0x2560_9513;

const FIXED_NEWSTYLE = 1;
const NO_ZEROES = 2;
const CAN_MULTI_CONN = 1 << 8;
const INFO_EXPORT = 0;
const INFO_BLOCK_SIZE = 3;

/**
 * What a server did that the protocol forbids. The connection is of no more use: where its replies begin is unknown.
 */
export class NbdViolation extends Error {
  override readonly name = 'NbdViolation';
}

export type Greeting = { isFixed: boolean; omitsZeroes: boolean };

export type ExportSize = { bytes: number; canMultiConn: boolean };
export type BlockSizes = { minBlockBytes: number; maxPayloadBytes: number };
export type Info =
  | ({ kind: 'export' } & ExportSize)
  | ({ kind: 'block-size' } & BlockSizes)
  | { kind: 'other' };

export type OptionReply = { kind: number; lengthBytes: number };

export function decodeGreeting(bytes: Buffer): Greeting {
  const magic = bytes.subarray(8, 16);
  if (!bytes.subarray(0, 8).equals(SERVER_MAGIC)) {
    throw new NbdViolation('it does not greet as an NBD server does');
  }
  if (magic.subarray(1).equals(OLDSTYLE_MAGIC)) {
    throw new NbdViolation('it speaks the "oldstyle" protocol, which was retired in 2011');
  }
  if (!magic.equals(OPTION_MAGIC)) throw new NbdViolation('it greets with an unknown protocol version');
  const flags = bytes.readUInt16BE(16);
  return { isFixed: (flags & FIXED_NEWSTYLE) !== 0, omitsZeroes: (flags & NO_ZEROES) !== 0 };
}

/** "MUST NOT be set if the server did not set" it. */
export function encodeClientFlags({ isFixed, omitsZeroes }: Greeting): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE((isFixed ? FIXED_NEWSTYLE : 0) | (omitsZeroes ? NO_ZEROES : 0));
  return bytes;
}

export function encodeOption(option: Option, data: Uint8Array = new Uint8Array()): Buffer {
  const header = Buffer.alloc(16);
  OPTION_MAGIC.copy(header);
  header.writeUInt32BE(OPTION[option], 8);
  header.writeUInt32BE(data.length, 12);
  return Buffer.concat([header, data]);
}

/** Asks for the limits as well: whoever asks must keep them, and only then may the server have any. */
export function encodeGo(exportName: string): Buffer {
  const requests = Buffer.alloc(4);
  requests.writeUInt16BE(1, 0);
  requests.writeUInt16BE(INFO_BLOCK_SIZE, 2);
  return encodeOption('go', Buffer.concat([encodeString(exportName), requests]));
}

export function encodeSetMetaContext(exportName: string, contexts: readonly string[]): Buffer {
  const count = Buffer.alloc(4);
  count.writeUInt32BE(contexts.length);
  return encodeOption(
    'setMetaContext',
    Buffer.concat([encodeString(exportName), count, ...contexts.map(encodeString)]),
  );
}

export function decodeOptionReply(bytes: Buffer, option: Option): OptionReply {
  if (!bytes.subarray(0, 8).equals(OPTION_REPLY_MAGIC)) {
    throw new NbdViolation(`its reply to option ${OPTION[option]} does not begin as one`);
  }
  const answered = bytes.readUInt32BE(8);
  if (answered !== OPTION[option]) {
    throw new NbdViolation(`it replies to option ${answered} when it was asked option ${OPTION[option]}`);
  }
  return { kind: bytes.readUInt32BE(12), lengthBytes: bytes.readUInt32BE(16) };
}

export function decodeExportSize(bytes: Buffer): ExportSize {
  return {
    bytes: readLength64(bytes, 0),
    canMultiConn: (bytes.readUInt16BE(8) & CAN_MULTI_CONN) !== 0,
  };
}

export function decodeInfo(data: Buffer): Info {
  if (data.length < 2) throw new NbdViolation('its information about the export has no type');
  const type = data.readUInt16BE(0);
  const checkLength = (lengthBytes: number): void => {
    if (data.length === lengthBytes) return;
    throw new NbdViolation(
      `its information of type ${type} has ${data.length} bytes instead of ${lengthBytes}`,
    );
  };
  if (type === INFO_EXPORT) {
    checkLength(12);
    return { kind: 'export', ...decodeExportSize(data.subarray(2)) };
  }
  if (type === INFO_BLOCK_SIZE) {
    checkLength(14);
    return { kind: 'block-size', ...decodeBlockSizes(data) };
  }
  return { kind: 'other' };
}

function decodeBlockSizes(data: Buffer): BlockSizes {
  const minBlockBytes = data.readUInt32BE(2);
  const maxPayloadBytes = data.readUInt32BE(10);
  const isPowerOfTwo = minBlockBytes > 0 && (minBlockBytes & (minBlockBytes - 1)) === 0;
  if (!isPowerOfTwo || minBlockBytes > MAX_MIN_BLOCK_BYTES || maxPayloadBytes < minBlockBytes) {
    throw new NbdViolation(
      `it asks for blocks of at least ${minBlockBytes} and requests of at most ${maxPayloadBytes} bytes`,
    );
  }
  return { minBlockBytes, maxPayloadBytes };
}

export function decodeMetaContext(data: Buffer): { id: number; name: string } {
  if (data.length < 4 || data.length > 4 + MAX_STRING_BYTES) {
    throw new NbdViolation(`its metadata context has ${data.length} bytes`);
  }
  return { id: data.readUInt32BE(0), name: data.toString('utf8', 4) };
}

export type Request = { command: Command; cookie: number; offsetBytes: number; lengthBytes: number };

export function encodeRequest({ command, cookie, offsetBytes, lengthBytes }: Request): Buffer {
  const bytes = Buffer.allocUnsafe(REQUEST_BYTES);
  bytes.writeUInt32BE(REQUEST_MAGIC, 0);
  bytes.writeUInt16BE(0, 4);
  bytes.writeUInt16BE(COMMAND[command], 6);
  bytes.writeBigUInt64BE(BigInt(cookie), 8);
  bytes.writeBigUInt64BE(BigInt(offsetBytes), 16);
  bytes.writeUInt32BE(lengthBytes, 24);
  return bytes;
}

export function readLength64(bytes: Buffer, at: number): number {
  const value = Number(bytes.readBigUInt64BE(at));
  if (!Number.isSafeInteger(value)) throw new NbdViolation(`it states a size or place of ${value} bytes`);
  return value;
}

function encodeString(text: string): Buffer {
  const bytes = Buffer.from(text, 'utf8');
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}
