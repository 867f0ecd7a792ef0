/**
 * An EBS API that only keeps and checks what it is sent, with DescribeSnapshots and DeleteSnapshot of EC2 beside it: for
 * what the sandbox cloud cannot be brought to, and to see each request.
 */
import { createHash, hash, randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Aws, createAws } from '../../../../adapters/targets/aws/clients.ts';
import { awsOptionsSchema } from '../../../../adapters/targets/aws/options.ts';
import type { JsonObject } from '../../../../src/domain/json.ts';

export const BLOCK_BYTES = 524_288;

export type HeldSnapshot = {
  id: string;
  state: 'pending' | 'completed' | 'error';
  volumeGib: number;
  tags: Record<string, string>;
  request: JsonObject;
  blocks: Map<number, Buffer>;
};

/** What meets a request instead of an answer: an error, a connection that ends, silence; null lets it pass. */
export type Fault =
  | { status: number; type: string; message?: string; reason?: string }
  | 'drop'
  | 'drop-answer'
  | null;

export type PlainEbs = AsyncDisposable & {
  endpoint: string;
  snapshots: Map<string, HeldSnapshot>;
  /** "PutSnapshotBlock 7" and the like, in the order of arrival. */
  requests: string[];
  headers: IncomingMessage['headers'][];
  /** Asked before each request of EBS is served. */
  fault: (request: string) => Fault;
  /** The largest number of requests that were being served at once. */
  mostAtOnce(): number;
  /** Answers of GetSnapshotBlock, changed on their way. */
  garble: (index: number, bytes: Buffer) => Buffer;
  /** As StartSnapshot tells it. */
  toldBlockBytes: number;
  /** Whether ListSnapshotBlocks tells the blocks of a page in their order. */
  toldInOrder: boolean;
  /** Puts nothing into memory where it only counts. */
  keeps: boolean;
  delayMs: number;
};

export async function startPlainEbs(): Promise<PlainEbs> {
  let atOnce = 0;
  let most = 0;
  const server = createServer(async (request, response) => {
    atOnce += 1;
    most = Math.max(most, atOnce);
    response.on('close', () => {
      atOnce -= 1;
    });
    await serve(cloud, request, response).catch((error: unknown) => {
      if (!request.destroyed) response.writeHead(500).end(String(error));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const cloud: PlainEbs = {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    snapshots: new Map(),
    requests: [],
    headers: [],
    fault: () => null,
    mostAtOnce: () => most,
    garble: (_, bytes) => bytes,
    toldBlockBytes: BLOCK_BYTES,
    toldInOrder: true,
    keeps: true,
    delayMs: 0,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return cloud;
}

/** Clients of the adapter for this endpoint; credentials as the SDK takes them from its environment. */
export function awsAt(endpoint: string, options: JsonObject = {}): Aws {
  process.env.AWS_ACCESS_KEY_ID ??= 'AKIA';
  process.env.AWS_SECRET_ACCESS_KEY ??= 'secret';
  return createAws(
    awsOptionsSchema.parse({ region: 'eu-central-1', via: 'ebs-direct', endpoint, ...options }),
  );
}

/** The whole volume as the snapshot says it is, as long as the disk. */
export function contentOf({ blocks }: HeldSnapshot, diskBytes: number): Buffer {
  const whole = Buffer.alloc(Math.ceil(diskBytes / BLOCK_BYTES) * BLOCK_BYTES);
  for (const [index, bytes] of blocks) bytes.copy(whole, index * BLOCK_BYTES);
  return whole.subarray(0, diskBytes);
}

export function linearOf(blocks: ReadonlyMap<number, Buffer>): Buffer {
  const linear = createHash('sha256');
  for (const index of [...blocks.keys()].sort((a, b) => a - b))
    linear.update(hash('sha256', blocks.get(index) as Buffer, 'buffer'));
  return linear.digest();
}

async function serve(cloud: PlainEbs, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { pathname, searchParams } = new URL(request.url ?? '/', 'http://ebs');
  if (pathname === '/') return serveEc2(cloud, await bodyOf(request), response);
  const [, , ...path] = pathname.split('/');
  const name = nameOf(request.method ?? '', path);
  cloud.requests.push(name);
  cloud.headers.push(request.headers);
  const fault = cloud.fault(name);
  if (fault === 'drop') return void request.socket.destroy();
  const body = await bodyOf(request);
  if (cloud.delayMs > 0) await new Promise((resolve) => setTimeout(resolve, cloud.delayMs));
  if (fault !== null && fault !== 'drop-answer') return refuse(response, fault);
  const answer = answerTo(cloud, { name, path, query: searchParams, headers: request.headers, body });
  if (fault === 'drop-answer') return void request.socket.destroy();
  if ('refused' in answer) return refuse(response, answer.refused);
  response.writeHead(answer.status, answer.headers).end(answer.body);
}

type Asked = {
  name: string;
  path: string[];
  query: URLSearchParams;
  headers: IncomingMessage['headers'];
  body: Buffer;
};
type Refused = Exclude<Fault, string | null>;
type Answer =
  | { status: number; headers: Record<string, string>; body: Buffer | string }
  | { refused: Refused };

function nameOf(method: string, [first, second, index]: string[]): string {
  if (method === 'POST' && first === undefined) return 'StartSnapshot';
  if (method === 'POST') return 'CompleteSnapshot';
  if (method === 'PUT') return `PutSnapshotBlock ${index}`;
  return index === undefined ? `ListSnapshotBlocks ${second}` : `GetSnapshotBlock ${index}`;
}

function answerTo(cloud: PlainEbs, asked: Asked): Answer {
  const [action] = asked.name.split(' ');
  if (action === 'StartSnapshot') return start(cloud, asked);
  const id = action === 'CompleteSnapshot' ? asked.path[1] : asked.path[0];
  const snapshot = cloud.snapshots.get(id ?? '');
  if (snapshot === undefined)
    return refusal(404, 'ResourceNotFoundException', 'The snapshot does not exist.', 'SNAPSHOT_NOT_FOUND');
  if (action === 'ListSnapshotBlocks') return list(cloud, snapshot, asked);
  if (action === 'GetSnapshotBlock') return get(cloud, snapshot, asked);
  if (snapshot.state === 'error') return refusal(400, 'ValidationException', 'The snapshot is in error.');
  return action === 'CompleteSnapshot' ? complete(snapshot, asked) : put(cloud, snapshot, asked);
}

function start(cloud: PlainEbs, { body }: Asked): Answer {
  const request = JSON.parse(body.toString('utf8')) as JsonObject;
  const known = [...cloud.snapshots.values()].find(
    (snapshot) => snapshot.request.ClientToken === request.ClientToken,
  );
  if (known !== undefined && JSON.stringify(known.request) !== JSON.stringify(request))
    return refusal(503, 'ConflictException', 'The client token was used with other parameters.');
  const tags = (request.Tags ?? []) as { Key: string; Value: string }[];
  const snapshot = known ?? {
    id: `snap-${randomBytes(9).toString('hex').slice(1)}`,
    state: 'pending' as const,
    volumeGib: Number(request.VolumeSize),
    tags: Object.fromEntries(tags.map(({ Key, Value }) => [Key, Value])),
    request,
    blocks: new Map<number, Buffer>(),
  };
  cloud.snapshots.set(snapshot.id, snapshot);
  return json(201, { SnapshotId: snapshot.id, BlockSize: cloud.toldBlockBytes, Status: 'pending' });
}

function put(cloud: PlainEbs, snapshot: HeldSnapshot, { path, headers, body }: Asked): Answer {
  const checksum = String(headers['x-amz-checksum']);
  if (snapshot.state !== 'pending')
    return refusal(400, 'ValidationException', 'The snapshot is not pending.');
  if (body.length !== BLOCK_BYTES || headers['x-amz-data-length'] !== String(BLOCK_BYTES))
    return refusal(400, 'ValidationException', 'Failed to read block data.');
  if (hash('sha256', body, 'base64') !== checksum)
    return refusal(400, 'ValidationException', 'The checksum does not fit.', 'INVALID_BLOCK');
  snapshot.blocks.set(Number(path[2]), cloud.keeps ? body : Buffer.alloc(0));
  return json(201, {}, { 'x-amz-checksum': checksum, 'x-amz-checksum-algorithm': 'SHA256' });
}

function complete(snapshot: HeldSnapshot, { headers }: Asked): Answer {
  if (snapshot.state === 'completed')
    return refusal(400, 'ValidationException', 'The snapshot is not pending.');
  if (headers['x-amz-changedblockscount'] !== String(snapshot.blocks.size))
    return refusal(400, 'ValidationException', 'The changed blocks count does not fit.');
  const checksum = headers['x-amz-checksum'];
  if (checksum !== undefined && checksum !== linearOf(snapshot.blocks).toString('base64'))
    return refusal(400, 'ValidationException', 'The checksum does not fit.');
  snapshot.state = 'completed';
  return json(202, { Status: 'pending' });
}

function list({ toldInOrder }: PlainEbs, snapshot: HeldSnapshot, { query }: Asked): Answer {
  const from = Number(query.get('pageToken') ?? query.get('startingBlockIndex') ?? 0);
  const held = [...snapshot.blocks.keys()].sort((a, b) => a - b).filter((index) => index >= from);
  const page = held.slice(0, Number(query.get('maxResults') ?? 10_000));
  const next = held[page.length];
  return json(200, {
    Blocks: (toldInOrder ? page : page.toReversed()).map((BlockIndex) => ({
      BlockIndex,
      BlockToken: `token-${BlockIndex}`,
    })),
    VolumeSize: snapshot.volumeGib,
    BlockSize: BLOCK_BYTES,
    ...(next === undefined ? {} : { NextToken: String(next) }),
  });
}

function get(cloud: PlainEbs, snapshot: HeldSnapshot, { path, query }: Asked): Answer {
  const index = Number(path[2]);
  if (query.get('blockToken') !== `token-${index}`)
    return refusal(400, 'ValidationException', 'The token is not good.', 'INVALID_BLOCK_TOKEN');
  const bytes = snapshot.blocks.get(index) as Buffer;
  const headers = {
    'content-type': 'application/octet-stream',
    'x-amz-data-length': String(BLOCK_BYTES),
    'x-amz-checksum': hash('sha256', bytes, 'base64'),
    'x-amz-checksum-algorithm': 'SHA256',
  };
  return { status: 200, headers, body: cloud.garble(index, bytes) };
}

function serveEc2(cloud: PlainEbs, body: Buffer, response: ServerResponse): void {
  const form = new URLSearchParams(body.toString('utf8'));
  const action = form.get('Action') ?? '';
  const id = form.get('SnapshotId') ?? form.get('SnapshotId.1');
  const token = form.get('Filter.1.Name') === 'tag:landfall:token' ? form.get('Filter.1.Value.1') : null;
  cloud.requests.push(action);
  if (id !== null && !cloud.snapshots.has(id)) {
    const error = '<Error><Code>InvalidSnapshot.NotFound</Code><Message>no such snapshot</Message></Error>';
    return void response.writeHead(400).end(`<Response><Errors>${error}</Errors></Response>`);
  }
  if (action === 'DeleteSnapshot') cloud.snapshots.delete(id ?? '');
  const found = [...cloud.snapshots.values()].filter(
    (snapshot) =>
      (id === null || snapshot.id === id) && (token === null || snapshot.tags['landfall:token'] === token),
  );
  const items = found.map(writeSnapshot).join('');
  response
    .writeHead(200, { 'content-type': 'text/xml' })
    .end(`<${action}Response><snapshotSet>${items}</snapshotSet></${action}Response>`);
}

function writeSnapshot({ id, state, tags }: HeldSnapshot): string {
  const items = Object.entries(tags).map(
    ([key, value]) => `<item><key>${key}</key><value>${value}</value></item>`,
  );
  return `<item><snapshotId>${id}</snapshotId><status>${state}</status><tagSet>${items.join('')}</tagSet></item>`;
}

function refusal(status: number, type: string, message: string, reason?: string): Answer {
  return { refused: { status, type, message, ...(reason === undefined ? {} : { reason }) } };
}

function refuse(response: ServerResponse, { status, type, message = 'said AWS', reason }: Refused): void {
  const headers = { 'content-type': 'application/json', 'x-amzn-errortype': type };
  response.writeHead(status, headers).end(JSON.stringify({ Message: message, Reason: reason }));
}

function json(status: number, body: unknown, headers: Record<string, string> = {}): Answer {
  return { status, headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify(body) };
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}
