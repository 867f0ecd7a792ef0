/**
 * A process that is an EBS direct endpoint which only checks and drops: each block against its SHA-256, and at the end
 * their number and the digest of all. It knows no signatures and keeps no snapshot that EC2 could tell of. It prints its
 * URL as a JSON line, and ends with whoever started it.
 * https://docs.aws.amazon.com/ebs/latest/APIReference/API_PutSnapshotBlock.html
 */
import { createHash, randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { BLOCK_BYTES } from '../../src/blocks/stream-encoder.ts';

/** Their digests, by their numbers. */
type Snapshot = Map<number, Buffer>;
type Received = { request: IncomingMessage; sha256: Buffer; lengthBytes: number };
type Answer = { status: number; body?: object; headers?: Record<string, string> };

const snapshots = new Map<string, Snapshot>();

const server = createServer({ noDelay: true }, (request, response) => {
  const hash = createHash('sha256');
  let lengthBytes = 0;
  request.on('data', (bytes: Buffer) => {
    lengthBytes += bytes.length;
    hash.update(bytes);
  });
  request.on('end', () => {
    const { status, body = {}, headers = {} } = answer({ request, sha256: hash.digest(), lengthBytes });
    const text = JSON.stringify(body);
    const about = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) };
    response.writeHead(status, { ...about, ...headers }).end(text);
  });
});
server.listen(0, '127.0.0.1', () => {
  const { port } = server.address() as AddressInfo;
  process.stdout.write(`${JSON.stringify({ url: `http://127.0.0.1:${port}` })}\n`);
});

function answer(received: Received): Answer {
  const { method, url = '' } = received.request;
  const [, , id = '', kind, index] = url.split('/');
  if (method === 'POST' && url === '/snapshots') return startSnapshot();
  if (method === 'POST' && id === 'completion') return completeSnapshot(received, kind ?? '');
  const blocks = snapshots.get(id);
  if (method !== 'PUT' || kind !== 'blocks' || blocks === undefined)
    return refuse(404, 'ResourceNotFoundException');
  return putBlock(received, { blocks, index: Number(index) });
}

function startSnapshot(): Answer {
  const SnapshotId = `snap-${randomBytes(8).toString('hex')}0`;
  snapshots.set(SnapshotId, new Map());
  return { status: 201, body: { SnapshotId, BlockSize: BLOCK_BYTES, Status: 'pending' } };
}

function putBlock(
  { request, sha256, lengthBytes }: Received,
  { blocks, index }: { blocks: Snapshot; index: number },
): Answer {
  const checksum = sha256.toString('base64');
  if (lengthBytes !== BLOCK_BYTES || request.headers['x-amz-checksum'] !== checksum)
    return refuse(400, 'ValidationException');
  blocks.set(index, sha256);
  return { status: 201, headers: { 'x-amz-checksum': checksum, 'x-amz-checksum-algorithm': 'SHA256' } };
}

function completeSnapshot({ request: { headers } }: Received, id: string): Answer {
  const blocks = snapshots.get(id);
  if (blocks === undefined) return refuse(404, 'ResourceNotFoundException');
  const linear = createHash('sha256');
  for (const [, sha256] of [...blocks].sort(([a], [b]) => a - b)) linear.update(sha256);
  const isWhole = Number(headers['x-amz-changedblockscount']) === blocks.size;
  if (!isWhole || headers['x-amz-checksum'] !== linear.digest('base64'))
    return refuse(400, 'ValidationException');
  snapshots.delete(id);
  return { status: 202, body: { Status: 'pending' } };
}

function refuse(status: number, code: string): Answer {
  return { status, body: { message: code }, headers: { 'x-amzn-errortype': code } };
}
