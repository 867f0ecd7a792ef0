/** Asks an NBD server for the size of its default export: proof that it serves, and what. */
import { connect, type Socket } from 'node:net';

const OPTION_MAGIC = 'IHAVEOPT';
const GREETING_BYTES = 18;
const REPLY_BYTES = 10;
const CLIENT_FLAGS = { fixedNewstyle: 1, noZeroes: 2 };
const OPTION_EXPORT_NAME = 1;
const REQUEST_MAGIC = 0x25609513;
const REQUEST_DISCONNECT = 2;
const PROBE_TIMEOUT_MS = 10_000;

/** Rejects with the socket's error (`ENOENT` and `ECONNREFUSED`: not yet) or when the server hangs up. */
export async function askExportBytes(socketPath: string): Promise<number> {
  const socket = connect({ path: socketPath });
  socket.setTimeout(PROBE_TIMEOUT_MS, () => socket.destroy(new Error('the NBD server does not answer')));
  try {
    const answers = readerOf(socket);
    const greeting = await answers(GREETING_BYTES);
    if (greeting.toString('latin1', 0, 16) !== `NBDMAGIC${OPTION_MAGIC}`) {
      throw new Error('the server does not speak NBD');
    }
    socket.write(chooseDefaultExport());
    const reply = await answers(REPLY_BYTES);
    socket.end(disconnect());
    return Number(reply.readBigUInt64BE(0));
  } finally {
    socket.destroySoon();
  }
}

/** Gives the next so many bytes. */
function readerOf(socket: Socket): (lengthBytes: number) => Promise<Buffer> {
  const chunks = socket[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  let held = Buffer.alloc(0);
  return async (lengthBytes) => {
    while (held.length < lengthBytes) {
      const { value, done } = await chunks.next();
      if (done) throw new Error('the NBD server hung up');
      held = Buffer.concat([held, value]);
    }
    const wanted = held.subarray(0, lengthBytes);
    held = held.subarray(lengthBytes);
    return wanted;
  };
}

function chooseDefaultExport(): Buffer {
  const message = Buffer.alloc(20);
  message.writeUInt32BE(CLIENT_FLAGS.fixedNewstyle | CLIENT_FLAGS.noZeroes, 0);
  message.write(OPTION_MAGIC, 4, 'latin1');
  message.writeUInt32BE(OPTION_EXPORT_NAME, 12);
  return message;
}

function disconnect(): Buffer {
  const message = Buffer.alloc(28);
  message.writeUInt32BE(REQUEST_MAGIC, 0);
  message.writeUInt16BE(REQUEST_DISCONNECT, 6);
  return message;
}
