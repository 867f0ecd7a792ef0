/**
 * moto, corrected in the two answers with which nothing could be tested, everything else passed on as it is:
 *  - StartSnapshot tells blocks of 512 bytes, AWS 524,288 (the adapter refuses any other size, rightly);
 *  - it knows no VM import, and answers 500 to whoever asks for tasks, AWS an empty list.
 */
import { once } from 'node:events';
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';

export type MotoGate = AsyncDisposable & { url: string };

const TASKS = /^Action=DescribeImport(?:Snapshot|Image)Tasks&/;
const NO_TASKS = '<Response><requestId>gate</requestId></Response>';

export async function openMotoGate(moto: string): Promise<MotoGate> {
  const server = createServer((asked, answer) => {
    pass(moto, asked, answer).catch((error: unknown) => answer.destroy(error as Error));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const close = async (): Promise<void> => {
    server.close();
    server.closeAllConnections();
    await once(server, 'close');
  };
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, [Symbol.asyncDispose]: close };
}

async function pass(moto: string, asked: IncomingMessage, answer: ServerResponse): Promise<void> {
  const body = await buffer(asked);
  if (TASKS.test(body.subarray(0, 100).toString('latin1'))) {
    answer.writeHead(200, { 'content-type': 'text/xml' }).end(NO_TASKS);
    return;
  }
  const { method = 'GET', url = '/', headers } = asked;
  const forward = request(`${moto}${url}`, { method, headers }).end(body);
  const [answered] = (await once(forward, 'response')) as [IncomingMessage];
  const told = await buffer(answered);
  const isStart = method === 'POST' && url === '/snapshots' && answered.statusCode === 201;
  const corrected = isStart ? withBlockSize(told) : told;
  const { 'content-length': _, 'transfer-encoding': __, ...kept } = answered.headers;
  answer
    .writeHead(answered.statusCode ?? 502, { ...kept, 'content-length': corrected.length })
    .end(corrected);
}

function withBlockSize(told: Buffer): Buffer {
  return Buffer.from(JSON.stringify({ ...JSON.parse(told.toString('utf8')), BlockSize: 524_288 }));
}
