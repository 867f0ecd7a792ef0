/**
 * Agrees with an NBD server on what to read and how ("fixed newstyle"): TLS where it is wanted, structured replies
 * and metadata contexts where the server has them, then the export and its limits. Servers that know none of this still
 * serve: the oldest option, `exportName`, ends it all. No sockets here: the line is whatever carries the bytes.
 * https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md#fixed-newstyle-negotiation
 */
import { refusedExport, refusedOption } from './nbd-error.ts';
import {
  type BlockSizes,
  DEFAULT_MAX_PAYLOAD_BYTES,
  decodeExportSize,
  decodeGreeting,
  decodeInfo,
  decodeMetaContext,
  decodeOptionReply,
  EXPORT_REPLY_BYTES,
  EXPORT_REPLY_ZEROES_BYTES,
  type ExportSize,
  encodeClientFlags,
  encodeGo,
  encodeOption,
  encodeSetMetaContext,
  GREETING_BYTES,
  type Greeting,
  MAX_STRING_BYTES,
  NbdViolation,
  OPTION_REPLY,
  OPTION_REPLY_BYTES,
  type Option,
  REFUSAL,
} from './nbd-protocol.ts';

export type NbdLine = {
  /** The next bytes, no fewer. Rejects when the line is lost or silent. */
  take(lengthBytes: number): Promise<Buffer>;
  send(bytes: Buffer): void;
  /** Goes on over TLS. Rejects when the other side cannot prove who it is. */
  startTls(): Promise<void>;
};

export type NbdWishes = {
  /** For messages. */
  uri: string;
  exportName: string;
  isTls: boolean;
  /** Metadata contexts; those that the server does not have are left out. */
  contexts: readonly string[];
};

export type NbdExport = {
  bytes: number;
  canMultiConn: boolean;
  hasStructuredReplies: boolean;
  /** Offsets and lengths of requests are multiples of this. */
  minBlockBytes: number;
  /** The most that one read may ask for, a multiple of `minBlockBytes`. */
  maxReadBytes: number;
  /** Metadata contexts agreed on, by the id that this connection gives them. */
  contexts: ReadonlyMap<number, string>;
};

/** Where the server says nothing: "a client desiring maximum interoperability SHOULD" keep to sectors. */
const DEFAULT_BLOCK_SIZES: BlockSizes = { minBlockBytes: 512, maxPayloadBytes: DEFAULT_MAX_PAYLOAD_BYTES };
/** Replies to options are a few words; descriptions and names may have 4096 bytes each. */
const MAX_REPLY_BYTES = 4 * MAX_STRING_BYTES;
/** Replies to one option: a handful of facts, or one per context. */
const MAX_REPLIES = 256;

const REFUSALS: Readonly<Record<number, string>> = {
  [REFUSAL.unsupported]: 'it does not know it',
  [REFUSAL.policy]: 'its policy forbids it',
  [REFUSAL.invalid]: 'it takes it for invalid',
  [REFUSAL.platform]: 'it was built without it',
  [REFUSAL.tlsRequired]: 'it wants TLS first',
  [REFUSAL.unknownExport]: 'it has no such export',
  [REFUSAL.shutdown]: 'it is shutting down',
  [REFUSAL.blockSizeRequired]: 'it wants its block sizes to be asked for',
  [REFUSAL.tooBig]: 'it is too big',
};

/** Throws `NbdViolation`, or a `LandfallError` where the server refuses. */
export async function negotiate(line: NbdLine, wishes: NbdWishes): Promise<NbdExport> {
  const greeting = decodeGreeting(await line.take(GREETING_BYTES));
  line.send(encodeClientFlags(greeting));
  if (wishes.isTls) await startTls({ line, wishes, greeting });
  if (!greeting.isFixed) return await openByName({ line, wishes, greeting });

  const hasStructuredReplies = await askStructuredReplies({ line, wishes });
  const contexts = hasStructuredReplies ? await askContexts({ line, wishes }) : new Map<number, string>();
  const opened = await go({ line, wishes });
  // An old server: it cannot have structured replies either, which came later.
  if (opened === null) return await openByName({ line, wishes, greeting });
  return { ...opened, hasStructuredReplies, contexts };
}

type Negotiation = { line: NbdLine; wishes: NbdWishes };

async function startTls({ line, wishes, greeting }: Negotiation & { greeting: Greeting }): Promise<void> {
  const remedy = 'Set up TLS on the server, or read without it (nbd:// instead of nbds://).';
  if (!greeting.isFixed) {
    throw refusedOption(wishes.uri, { asked: 'TLS', why: 'its protocol is too old', said: '', remedy });
  }
  const { refusal, said } = await ask({ line, option: 'startTls', message: encodeOption('startTls') });
  if (refusal !== null)
    throw refusedOption(wishes.uri, { asked: 'TLS', why: nameRefusal(refusal), said, remedy });
  await line.startTls();
}

async function askStructuredReplies({ line, wishes }: Negotiation): Promise<boolean> {
  const message = encodeOption('structuredReply');
  const { refusal, said } = await ask({ line, option: 'structuredReply', message });
  if (refusal === REFUSAL.tlsRequired) throw tlsRequired(wishes.uri, said);
  return refusal === null;
}

/** "An error … the client MUST disregard any context replies": then there are none. */
async function askContexts({ line, wishes }: Negotiation): Promise<Map<number, string>> {
  const agreed = new Map<number, string>();
  if (wishes.contexts.length === 0) return agreed;
  const message = encodeSetMetaContext(wishes.exportName, wishes.contexts);
  const onReply = (kind: number, data: Buffer): void => {
    if (kind !== OPTION_REPLY.metaContext) throw unexpected(kind);
    const { id, name } = decodeMetaContext(data);
    if (agreed.has(id)) throw new NbdViolation(`it gives two contexts the id ${id}`);
    agreed.set(id, name);
  };
  const { refusal } = await ask({ line, option: 'setMetaContext', message, onReply });
  return refusal === null ? agreed : new Map();
}

type Opened = Omit<NbdExport, 'hasStructuredReplies' | 'contexts'>;

/** null: the server does not know this option. */
async function go({ line, wishes }: Negotiation): Promise<Opened | null> {
  const stated: { size: ExportSize | null; blockSizes: BlockSizes } = {
    size: null,
    blockSizes: DEFAULT_BLOCK_SIZES,
  };
  const onReply = (kind: number, data: Buffer): void => {
    if (kind !== OPTION_REPLY.info) throw unexpected(kind);
    const info = decodeInfo(data);
    if (info.kind === 'export') stated.size = info;
    if (info.kind === 'block-size') stated.blockSizes = info;
  };
  const message = encodeGo(wishes.exportName);
  const { refusal, said } = await ask({ line, option: 'go', message, onReply });
  if (refusal === REFUSAL.unsupported) return null;
  if (refusal !== null) throw exportRefused({ wishes, refusal, said });
  if (stated.size === null) throw new NbdViolation('it opened the export without stating its size');
  return describeExport(stated.size, stated.blockSizes);
}

/** The server hangs up where it does not have the export: this option has no other way to refuse. */
async function openByName({
  line,
  wishes,
  greeting,
}: Negotiation & { greeting: Greeting }): Promise<NbdExport> {
  line.send(encodeOption('exportName', Buffer.from(wishes.exportName, 'utf8')));
  const size = decodeExportSize(await line.take(EXPORT_REPLY_BYTES));
  if (!greeting.omitsZeroes) await line.take(EXPORT_REPLY_ZEROES_BYTES);
  const opened = describeExport(size, DEFAULT_BLOCK_SIZES);
  return { ...opened, hasStructuredReplies: false, contexts: new Map() };
}

function describeExport(size: ExportSize, { minBlockBytes, maxPayloadBytes }: BlockSizes): Opened {
  const mostBytes = Math.min(maxPayloadBytes, DEFAULT_MAX_PAYLOAD_BYTES);
  return {
    bytes: size.bytes,
    canMultiConn: size.canMultiConn,
    minBlockBytes,
    maxReadBytes: mostBytes - (mostBytes % minBlockBytes),
  };
}

type Question = {
  line: NbdLine;
  option: Option;
  message: Buffer;
  /** Called with each reply before the last. */
  onReply?: (kind: number, data: Buffer) => void;
};

/** Sends an option and takes its replies up to the last: an acknowledgement or a refusal. */
async function ask({
  line,
  option,
  message,
  onReply,
}: Question): Promise<{ refusal: number | null; said: string }> {
  line.send(message);
  for (let count = 0; count < MAX_REPLIES; count += 1) {
    const { kind, lengthBytes } = decodeOptionReply(await line.take(OPTION_REPLY_BYTES), option);
    if (lengthBytes > MAX_REPLY_BYTES) {
      throw new NbdViolation(`it sends ${lengthBytes} bytes in reply to an option`);
    }
    const data = await line.take(lengthBytes);
    if (kind >= 0x8000_0000) return { refusal: kind, said: data.toString('utf8') };
    if (kind === OPTION_REPLY.ack) return { refusal: null, said: '' };
    if (onReply === undefined) throw unexpected(kind);
    onReply(kind, data);
  }
  throw new NbdViolation('its replies to an option do not end');
}

function exportRefused(refused: { wishes: NbdWishes; refusal: number; said: string }) {
  const { wishes, refusal, said } = refused;
  const { uri, exportName } = wishes;
  if (refusal === REFUSAL.tlsRequired) return tlsRequired(uri, said);
  if (refusal === REFUSAL.unknownExport) return refusedExport(uri, { exportName, said });
  const remedy = 'See in its log why.';
  return refusedOption(uri, { asked: 'to open the export', why: nameRefusal(refusal), said, remedy });
}

function tlsRequired(uri: string, said: string) {
  const why = nameRefusal(REFUSAL.tlsRequired);
  const remedy = 'Write nbds:// instead of nbd://, and name the authority that signed its certificate.';
  return refusedOption(uri, { asked: 'to go on', why, said, remedy });
}

function nameRefusal(refusal: number): string {
  return REFUSALS[refusal] ?? `error ${refusal - 0x8000_0000}`;
}

function unexpected(kind: number): NbdViolation {
  return new NbdViolation(`it replies to an option with a message of type ${kind}`);
}
