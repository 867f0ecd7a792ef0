/**
 * EBS direct's requests as they stand on the wire (restJson1), read strictly: a parameter or header that an action does
 * not know is refused.
 * https://docs.aws.amazon.com/ebs/latest/APIReference/API_Operations.html
 */
import type { IncomingHttpHeaders } from 'node:http';
import type { HttpRequest } from '../http.ts';
import { Refusal } from '../refusal.ts';
import { invalid, invalidParameter } from './refusals.ts';

export type EbsAction =
  | 'StartSnapshot'
  | 'PutSnapshotBlock'
  | 'CompleteSnapshot'
  | 'GetSnapshotBlock'
  | 'ListSnapshotBlocks'
  | 'ListChangedBlocks';

export type EbsCall = {
  action: EbsAction;
  /** Empty for StartSnapshot. */
  snapshotId: string;
  /** null where the action is not about one block. */
  blockIndex: number | null;
};

type Route = {
  action: EbsAction;
  method: string;
  /** Its groups are the snapshot and the block. */
  path: RegExp;
  headers: readonly string[];
  query: readonly string[];
};

/** As written, and what AWS's own clients send of themselves. */
const COMMON_HEADERS = ['x-amz-date', 'x-amz-content-sha256', 'x-amz-user-agent', 'x-amz-security-token'];
const PAGE = ['pageToken', 'maxResults', 'startingBlockIndex'];
const SNAPSHOT_ID = /^snap-[0-9a-f]{1,59}$/;

const ROUTES: readonly Route[] = [
  { action: 'StartSnapshot', method: 'POST', path: /^\/snapshots$/, headers: [], query: [] },
  {
    action: 'PutSnapshotBlock',
    method: 'PUT',
    path: /^\/snapshots\/([^/]+)\/blocks\/([^/]+)$/,
    headers: ['x-amz-data-length', 'x-amz-checksum', 'x-amz-checksum-algorithm', 'x-amz-progress'],
    query: [],
  },
  {
    action: 'CompleteSnapshot',
    method: 'POST',
    path: /^\/snapshots\/completion\/([^/]+)$/,
    headers: [
      'x-amz-changedblockscount',
      'x-amz-checksum',
      'x-amz-checksum-algorithm',
      'x-amz-checksum-aggregation-method',
    ],
    query: [],
  },
  {
    action: 'GetSnapshotBlock',
    method: 'GET',
    path: /^\/snapshots\/([^/]+)\/blocks\/([^/]+)$/,
    headers: [],
    query: ['blockToken'],
  },
  {
    action: 'ListSnapshotBlocks',
    method: 'GET',
    path: /^\/snapshots\/([^/]+)\/blocks$/,
    headers: [],
    query: PAGE,
  },
  {
    action: 'ListChangedBlocks',
    method: 'GET',
    path: /^\/snapshots\/([^/]+)\/changedblocks$/,
    headers: [],
    query: ['firstSnapshotId', ...PAGE],
  },
];

/** Throws UnknownOperationException or ValidationException. */
export function readCall({ method, rawPath, query, headers }: HttpRequest): EbsCall {
  for (const route of ROUTES) {
    const match = route.method === method ? route.path.exec(rawPath) : null;
    if (match === null) continue;
    checkNames(route, query, headers);
    const [, snapshotId = '', block] = match;
    if (route.action !== 'StartSnapshot') checkSnapshotId(snapshotId);
    const blockIndex = block === undefined ? null : readWhole('BlockIndex', block);
    return { action: route.action, snapshotId, blockIndex };
  }
  throw new Refusal({
    status: 404,
    code: 'UnknownOperationException',
    message: `EBS direct has no operation at ${method} ${rawPath}`,
  });
}

export function checkSnapshotId(id: string): void {
  if (!SNAPSHOT_ID.test(id)) throw invalid('INVALID_SNAPSHOT_ID', `The snapshot id '${id}' is not valid.`);
}

export function readHeader({ headers }: HttpRequest, name: string): string | null {
  const value = headers[name];
  return typeof value === 'string' && value !== '' ? value : null;
}

export function requireHeader(http: HttpRequest, name: string): string {
  const value = readHeader(http, name);
  if (value === null) throw invalidParameter(`The request must contain the header ${name}.`);
  return value;
}

export function readWhole(name: string, text: string): number {
  const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isSafeInteger(value)) return value;
  throw invalidParameter(`Value (${text}) for parameter ${name} is invalid.`);
}

/** Base64 of a SHA-256. */
export function readChecksum(text: string): Buffer {
  const digest = Buffer.from(text, 'base64');
  if (digest.length === 32 && digest.toString('base64') === text) return digest;
  throw invalidParameter(`Value (${text.slice(0, 80)}) for parameter Checksum is invalid.`);
}

/** `wanted` is the only value that the service knows. */
export function requireOnly({ name, value, wanted }: { name: string; value: string; wanted: string }): void {
  if (value !== wanted) throw invalidParameter(`Value (${value}) for parameter ${name} is invalid.`);
}

function checkNames(route: Route, query: URLSearchParams, headers: IncomingHttpHeaders): void {
  const parameter = [...query.keys()].find((name) => !route.query.includes(name));
  if (parameter !== undefined) throw invalidParameter(`The parameter ${parameter} is not recognized.`);
  const header = Object.keys(headers).find(
    (name) => name.startsWith('x-amz-') && !COMMON_HEADERS.includes(name) && !route.headers.includes(name),
  );
  if (header !== undefined) throw invalidParameter(`The header ${header} is not recognized.`);
  if (headers['content-encoding'] !== undefined) {
    throw invalid('INVALID_CONTENT_ENCODING', `Content-Encoding is not taken.`);
  }
}
