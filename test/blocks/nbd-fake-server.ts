/** An NBD server that negotiates well and then answers as a test says: late, wrongly, or not at all. */
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { u32be } from '../images/sample-images.ts';
import { blockSizeInfo, exportInfo, greeting, optionReply, REPLY, u16be } from './nbd-wire.ts';

export type FakeRequest = { command: number; cookie: bigint; offset: number; length: number };

export type FakeConnection = {
  socket: Socket;
  send(...messages: Buffer[]): void;
  /** 0 for the first connection that was made. */
  index: number;
};

export type FakeNbdOptions = {
  bytes?: number | bigint;
  canMultiConn?: boolean;
  hasStructuredReplies?: boolean;
  /** Agrees to these of the contexts asked for, with ids from 1000 + the connection's index on. */
  contexts?: readonly string[];
  blockSizes?: { minBytes: number; maxBytes: number };
  handshakeFlags?: number;
  /** Takes an option over: gives the bytes to send instead. */
  onOption?: (option: number, data: Buffer, connection: FakeConnection) => Buffer | undefined;
  onConnection?: (connection: FakeConnection) => void;
  /** It accepts and says nothing, as one that has as many clients as it takes. */
  isSilent?: (connection: FakeConnection) => boolean;
  onRequest?: (request: FakeRequest, connection: FakeConnection) => void;
};

export type FakeNbd = AsyncDisposable & {
  uri: string;
  requests: FakeRequest[];
  /** Options received, in order. */
  options: number[];
  connections: FakeConnection[];
};

const DISCONNECT = 2;

export async function openFakeNbd(fake: FakeNbdOptions): Promise<FakeNbd> {
  const requests: FakeRequest[] = [];
  const options: number[] = [];
  const connections: FakeConnection[] = [];
  const server = createServer((socket) => {
    const connection: FakeConnection = {
      socket,
      send: (...messages) => void socket.write(Buffer.concat(messages)),
      index: connections.length,
    };
    connections.push(connection);
    // Clients may cut the line.
    socket.on('error', () => undefined);
    fake.onConnection?.(connection);
    if (fake.isSilent?.(connection) === true) return;
    serve({ fake, connection, requests, options }).catch(() => socket.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new TypeError('no port');
  return {
    uri: `nbd://127.0.0.1:${address.port}/disk`,
    requests,
    options,
    connections,
    [Symbol.asyncDispose]: async () => {
      for (const { socket } of connections) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

type Serving = {
  fake: FakeNbdOptions;
  connection: FakeConnection;
  requests: FakeRequest[];
  options: number[];
};

async function serve({ fake, connection, requests, options }: Serving): Promise<void> {
  const take = readerOf(connection.socket);
  connection.send(greeting(fake.handshakeFlags));
  await take(4);
  for (let isOpen = false; !isOpen; ) {
    const header = await take(16);
    const option = header.readUInt32BE(8);
    const data = await take(header.readUInt32BE(12));
    options.push(option);
    const instead = fake.onOption?.(option, data, connection);
    connection.send(instead ?? answerOption({ fake, option, data, index: connection.index }));
    isOpen = instead === undefined && (option === 1 || option === 7);
  }
  for (;;) {
    const bytes = await take(28);
    const request: FakeRequest = {
      command: bytes.readUInt16BE(6),
      cookie: bytes.readBigUInt64BE(8),
      offset: Number(bytes.readBigUInt64BE(16)),
      length: bytes.readUInt32BE(24),
    };
    requests.push(request);
    if (request.command === DISCONNECT) return void connection.socket.end();
    fake.onRequest?.(request, connection);
  }
}

function answerOption(asked: { fake: FakeNbdOptions; option: number; data: Buffer; index: number }): Buffer {
  const { fake, option, data, index } = asked;
  const size = exportInfo({
    bytes: BigInt(fake.bytes ?? 2 ** 20),
    canMultiConn: fake.canMultiConn ?? false,
  });
  switch (option) {
    case 1:
      return fake.handshakeFlags === 1 ? Buffer.concat([size, Buffer.alloc(124)]) : size;
    case 7: {
      const infos: Buffer[] = [Buffer.concat([u16be(0), size])];
      if (fake.blockSizes !== undefined) infos.push(blockSizeInfo(fake.blockSizes));
      return Buffer.concat([
        ...infos.map((info) => optionReply(7, REPLY.info, info)),
        optionReply(7, REPLY.ack),
      ]);
    }
    case 8:
      return optionReply(8, (fake.hasStructuredReplies ?? true) ? REPLY.ack : REPLY.unsupported);
    case 10: {
      const agreed = (fake.contexts ?? []).filter((name) => data.includes(name));
      const replies = agreed.map((name, at) =>
        optionReply(
          10,
          REPLY.metaContext,
          Buffer.concat([u32be(1000 + index + 100 * at), Buffer.from(name)]),
        ),
      );
      return Buffer.concat([...replies, optionReply(10, REPLY.ack)]);
    }
    default:
      return optionReply(option, REPLY.unsupported);
  }
}

function readerOf(socket: Socket): (lengthBytes: number) => Promise<Buffer> {
  const pieces = socket[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  let held: Buffer = Buffer.alloc(0);
  return async (lengthBytes) => {
    while (held.length < lengthBytes) {
      const { value, done } = await pieces.next();
      if (done) throw new Error('the client hung up');
      held = Buffer.concat([held, value]);
    }
    const wanted = held.subarray(0, lengthBytes);
    held = held.subarray(lengthBytes);
    return wanted;
  };
}
