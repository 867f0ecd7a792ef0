/**
 * The blob endpoint of managed disks. A disk's address works with its shared access signature only, for as long as that
 * is valid, and only for what managed disks allow: pages are written, cleared, listed and read; the blob itself is not
 * made, resized or removed. What is sound goes on to Azurite, which checks the transactional checksums.
 * https://learn.microsoft.com/rest/api/storageservices/put-page
 */
import { collectBody, type HttpAnswer, type HttpRequest } from '../http.ts';
import { Refusal } from '../refusal.ts';
import type { AzureCloud } from './cloud.ts';
import { authenticationFailed, invalidPageRange, permissionMismatch } from './refusals.ts';
import { readSas, SAS_PARAMETERS, writeSas } from './shared-access.ts';
import type { DiskAccess } from './state.ts';

export type PageCall = {
  action: PageAction;
  uniqueId: string;
  /** Of the pages that are written, cleared or read; null where the request names none. */
  range: { offsetBytes: number; lengthBytes: number } | null;
};

export type Holder = {
  name: string;
  accesses: readonly DiskAccess[];
  /** Names its pages. */
  blobId: string;
  /** null: nothing is written here. */
  uploadSizeBytes: number | null;
};

type PageAction = keyof typeof NEEDS;

const PAGE_BYTES = 512;
const MAX_WRITE_BYTES = 4 * 1024 * 1024;
/** Azure's direct uploads call their blob so. */
const BLOB_NAME = 'abcd';
const ADDRESS = new RegExp(`^/md-([0-9a-f]+)/vhd/${BLOB_NAME}$`);

/** What a signature must allow; null: no signature of a managed disk allows it. */
const NEEDS = {
  PutPage: 'Write',
  ClearPage: 'Write',
  GetPageRanges: 'Read',
  GetBlob: 'Read',
  GetBlobProperties: 'Read',
  PutBlob: null,
  DeleteBlob: null,
  SetBlobProperties: null,
  Other: null,
} as const satisfies Readonly<Record<string, DiskAccess['level'] | null>>;

/** Not passed on: they are of this connection, or of this request's signature. */
const OWN_HEADERS: ReadonlySet<string> = new Set([
  ...['authorization', 'connection', 'keep-alive', 'transfer-encoding', 'content-length', 'host', 'date'],
  ...['accept-encoding', 'server', 'expect', 'x-ms-date'],
]);

/** Where the disk's bytes are for whoever has this access. */
export function accessUrl(
  { account, url }: AzureCloud,
  { uniqueId }: { uniqueId: string },
  policyId: string,
): string {
  const path = pathOf(uniqueId);
  return `${url()}${path}?${writeSas({ secret: account.sasSecret, path }, policyId)}`;
}

/** null where the address is not a disk's. */
export function readPageCall({ method, rawPath, query, headers }: HttpRequest): PageCall | null {
  const uniqueId = ADDRESS.exec(rawPath)?.[1];
  if (uniqueId === undefined) return null;
  const action = actionOf({ method, comp: query.get('comp'), write: headers['x-ms-page-write'] });
  const said = String(headers['x-ms-range'] ?? headers.range ?? '');
  const [, start, end] = /^bytes=(\d+)-(\d+)$/.exec(said) ?? [];
  const offsetBytes = Number(start);
  const range = end === undefined ? null : { offsetBytes, lengthBytes: Number(end) - offsetBytes + 1 };
  return { action, uniqueId, range };
}

/** The disk or the snapshot at this address. */
export function findHolder({ store }: AzureCloud, wanted: string): Holder | undefined {
  const { disks, snapshots = {} } = store.read();
  const disk = Object.values(disks).find(({ uniqueId }) => uniqueId === wanted);
  if (disk !== undefined) return { ...disk, blobId: disk.uniqueId };
  const snapshot = Object.values(snapshots).find(({ uniqueId }) => uniqueId === wanted);
  return snapshot === undefined ? undefined : { ...snapshot, uploadSizeBytes: null };
}

/** Throws a Refusal in Blob Storage's words. */
export async function answerPageCall(
  cloud: AzureCloud,
  call: PageCall,
  http: HttpRequest,
): Promise<HttpAnswer> {
  const holder = requireAccess(cloud, call, http);
  const isWrite = NEEDS[call.action] === 'Write';
  if (isWrite) checkWrite({ cloud, holder, call, http });
  const query = Object.fromEntries([...http.query].filter(([name]) => !SAS_PARAMETERS.has(name)));
  const body = isWrite ? await collectBody(http.body, MAX_WRITE_BYTES) : undefined;
  const answer = await cloud.pages.forward(holder.blobId, {
    method: http.method,
    query,
    headers: keepHeaders(http.headers),
    signal: http.signal,
    ...(body === undefined ? {} : { body }),
  });
  return {
    status: answer.status,
    headers: keepHeaders(answer.headers, ['content-length']),
    body: { kind: 'stream', stream: answer.body },
  };
}

function actionOf({
  method,
  comp,
  write,
}: {
  method: string;
  comp: string | null;
  write: string | string[] | undefined;
}): PageAction {
  switch (`${method} ${comp ?? ''}`) {
    case 'PUT page':
      return write === 'clear' ? 'ClearPage' : 'PutPage';
    case 'GET pagelist':
      return 'GetPageRanges';
    case 'GET ':
      return 'GetBlob';
    case 'HEAD ':
      return 'GetBlobProperties';
    case 'PUT ':
      return 'PutBlob';
    case 'DELETE ':
      return 'DeleteBlob';
    case 'PUT properties':
      return 'SetBlobProperties';
    default:
      return 'Other';
  }
}

function requireAccess(cloud: AzureCloud, { action, uniqueId }: PageCall, { query }: HttpRequest): Holder {
  const reading = readSas({ secret: cloud.account.sasSecret, path: pathOf(uniqueId) }, query);
  if ('failure' in reading) throw authenticationFailed(reading.failure);
  const holder = findHolder(cloud, uniqueId);
  const access = holder?.accesses.find(({ policyId }) => policyId === reading.policyId);
  if (holder === undefined || access === undefined) throw authenticationFailed('Access was revoked.');
  if (access.expiresAt <= cloud.now()) {
    const end = new Date(access.expiresAt).toUTCString();
    throw authenticationFailed(`Signature not valid in the specified time frame: Expiry [${end}]`);
  }
  const needed = NEEDS[action];
  // Whoever writes may look at what is there already, or no upload could be resumed.
  if (needed === null || (needed === 'Write' && access.level !== 'Write')) throw permissionMismatch();
  return holder;
}

function checkWrite({
  cloud,
  holder,
  call: { range, action },
  http: { headers },
}: {
  cloud: AzureCloud;
  holder: Holder;
  call: PageCall;
  http: HttpRequest;
}): void {
  const bodyBytes = Number(headers['content-length'] ?? Number.NaN);
  if (!Number.isInteger(bodyBytes)) throw refuseHeader(411, 'MissingContentLengthHeader', 'Content-Length');
  if (range === null) throw refuseHeader(400, 'MissingRequiredHeader', 'x-ms-range');
  const { offsetBytes, lengthBytes } = range;
  if (lengthBytes <= 0 || offsetBytes % PAGE_BYTES !== 0 || lengthBytes % PAGE_BYTES !== 0)
    throw invalidPageRange();
  if (offsetBytes + lengthBytes > (holder.uploadSizeBytes ?? 0)) throw invalidPageRange();
  if (action === 'ClearPage') {
    if (bodyBytes !== 0) throw refuseHeader(400, 'InvalidHeaderValue', 'Content-Length');
    return;
  }
  if (bodyBytes > MAX_WRITE_BYTES || lengthBytes > MAX_WRITE_BYTES) {
    const message = `The request body is too large and exceeds the maximum permissible limit of ${MAX_WRITE_BYTES} bytes.`;
    throw new Refusal({ status: 413, code: 'RequestBodyTooLarge', message });
  }
  if (bodyBytes !== lengthBytes) throw refuseHeader(400, 'InvalidHeaderValue', 'Content-Length');
  checkChecksums({ headers, refused: cloud.limits.refusedChecksums });
}

function checkChecksums({
  headers,
  refused,
}: {
  headers: HttpRequest['headers'];
  refused: readonly ('crc64' | 'md5')[];
}): void {
  const given = { crc64: headers['x-ms-content-crc64'], md5: headers['content-md5'] };
  if (given.crc64 !== undefined && given.md5 !== undefined) {
    const message = 'Both a CRC64 and an MD5 are given; only one may be.';
    throw new Refusal({ status: 400, code: 'InvalidInput', message });
  }
  const unwanted = refused.find((kind) => given[kind] !== undefined);
  if (unwanted !== undefined) {
    const message = 'One of the HTTP headers specified in the request is not supported.';
    throw new Refusal({ status: 400, code: 'UnsupportedHeader', message });
  }
}

function refuseHeader(status: number, code: string, header: string): Refusal {
  return new Refusal({
    status,
    code,
    message: `The value for the HTTP header ${header} is missing or wrong.`,
  });
}

function pathOf(uniqueId: string): string {
  return `/md-${uniqueId}/vhd/${BLOB_NAME}`;
}

function keepHeaders(headers: HttpRequest['headers'], also: readonly string[] = []): Record<string, string> {
  const kept = Object.entries(headers).filter(([name]) => !OWN_HEADERS.has(name) || also.includes(name));
  return Object.fromEntries(
    kept.flatMap(([name, value]) => (value === undefined ? [] : [[name, String(value)]])),
  );
}
