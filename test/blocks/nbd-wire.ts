/** What an NBD server sends, written from the protocol's text and sharing no code with the client. */
import { u32be, u64be } from '../images/sample-images.ts';

export const DONE = 1;
export const CHUNK = { none: 0, data: 1, hole: 2, status: 5, error: 0x8001, errorOffset: 0x8002 } as const;
export const REPLY = {
  ack: 1,
  info: 3,
  metaContext: 4,
  unsupported: 0x8000_0001,
  policy: 0x8000_0002,
  tlsRequired: 0x8000_0005,
  unknown: 0x8000_0006,
} as const;

export function u16be(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
}

export function greeting(flags = 3): Buffer {
  return Buffer.concat([Buffer.from('NBDMAGICIHAVEOPT'), u16be(flags)]);
}

export function optionReply(option: number, kind: number, data: Buffer = Buffer.alloc(0)): Buffer {
  return Buffer.concat([u64be(0x0003_e889_0455_65a9n), u32be(option), u32be(kind), u32be(data.length), data]);
}

/** HAS_FLAGS, READ_ONLY, and CAN_MULTI_CONN where it is said. */
export function exportInfo({
  bytes,
  canMultiConn = false,
}: {
  bytes: bigint;
  canMultiConn?: boolean;
}): Buffer {
  return Buffer.concat([u64be(bytes), u16be(canMultiConn ? 0x103 : 3)]);
}

export function blockSizeInfo({ minBytes, maxBytes }: { minBytes: number; maxBytes: number }): Buffer {
  return Buffer.concat([u16be(3), u32be(minBytes), u32be(Math.max(4096, minBytes)), u32be(maxBytes)]);
}

export function simpleReply(cookie: bigint, errorNumber = 0, data: Buffer = Buffer.alloc(0)): Buffer {
  return Buffer.concat([u32be(0x6744_6698), u32be(errorNumber), u64be(cookie), data]);
}

export function chunk(of: { cookie: bigint; type: number; flags?: number; payload?: Buffer }): Buffer {
  const { cookie, type, flags = 0, payload = Buffer.alloc(0) } = of;
  return Buffer.concat([
    u32be(0x668e_33ef),
    u16be(flags),
    u16be(type),
    u64be(cookie),
    u32be(payload.length),
    payload,
  ]);
}

export function dataPayload(offset: number, data: Buffer): Buffer {
  return Buffer.concat([u64be(BigInt(offset)), data]);
}

export function holePayload(offset: number, lengthBytes: number): Buffer {
  return Buffer.concat([u64be(BigInt(offset)), u32be(lengthBytes)]);
}

export function statusPayload(contextId: number, runs: readonly (readonly [number, number])[]): Buffer {
  return Buffer.concat([u32be(contextId), ...runs.flat().map(u32be)]);
}

export function errorPayload(error: { errorNumber: number; said?: string; offset?: number }): Buffer {
  const { errorNumber, said = '', offset } = error;
  const message = Buffer.from(said);
  const place = offset === undefined ? Buffer.alloc(0) : u64be(BigInt(offset));
  return Buffer.concat([u32be(errorNumber), u16be(message.length), message, place]);
}
