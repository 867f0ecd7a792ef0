/**
 * A process that is as much of Azure as an upload needs, and keeps nothing: Resource Manager for disks behind TLS, tokens,
 * and an endpoint for pages that checks each request (place, length, CRC64 or MD5), drops its bytes and answers after so many
 * milliseconds, as a disk far away would. It knows which pages it was given, since that is asked for. Pages come without
 * TLS, which would cost both sides of a comparison the same. It prints its addresses as a JSON line, and ends with
 * whoever started it. `POST /disk?bytes=N`, which Azure does not have, gives the pages of a disk without Resource Manager. `node azure-sink.ts FOLDER ANSWER_AFTER_MS`
 * https://learn.microsoft.com/rest/api/storageservices/put-page
 */
import { createHash, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import {
  createServer as createPlainServer,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { loadCrc64, openCrc64 } from '../../adapters/targets/azure/page-crc64.ts';
import { provideCertificate } from '../../src/sandbox/azure/certificate.ts';

type DiskState = 'ReadyToUpload' | 'ActiveUpload' | 'Unattached';
/** `held`: the ends of what was written, by where it begins. */
type Disk = { uploadBytes: number; described: object; state: DiskState; held: Map<number, number> };
type Answer = { status: number; body?: object | string; headers?: Record<string, string> };
/** Takes a request's bytes as they come; afterwards tells whether they are what the request says. */
type Checksum = { append(bytes: Buffer): void; isRight(): boolean };

const PAGE_BYTES = 512;
const MAX_PAGES_BYTES = 4 * 2 ** 20;
const DISK =
  /\/resourceGroups\/[^/]+\/providers\/Microsoft\.Compute\/disks\/([^/?]+)(?:\/(beginGetAccess|endGetAccess))?\?/i;

const [folder = '', answerAfter = ''] = process.argv.slice(2);
const answerAfterMs = Number(answerAfter);
/** By name, which their pages' addresses hold too. */
const disks = new Map<string, Disk>();

await loadCrc64();
const { certificate, key, certificateFile } = await provideCertificate(folder);
const plain = await listen(createPlainServer({ noDelay: true }, serve(answerPlain)));
const tls = await listen(createTlsServer({ noDelay: true, cert: certificate, key }, serve(answerDisk)));
process.stdout.write(
  `${JSON.stringify({ url: `https://${tls}`, plainUrl: `http://${plain}`, certificateFile })}\n`,
);

async function listen(server: Server): Promise<string> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function serve(answer: (request: IncomingMessage) => Promise<Answer>) {
  return async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { status, body = '', headers = {} } = await answer(request);
    const text = typeof body === 'string' ? body : JSON.stringify(body);
    const type = typeof body === 'string' ? 'application/xml' : 'application/json';
    const about = { 'content-type': type, 'content-length': Buffer.byteLength(text) };
    response.writeHead(status, { ...about, 'x-ms-request-id': randomUUID(), ...headers }).end(text);
  };
}

async function answerPlain(request: IncomingMessage): Promise<Answer> {
  const { pathname, searchParams } = new URL(request.url ?? '', 'http://sink');
  if (pathname === '/token') return giveToken(searchParams.get('resource') ?? '');
  if (pathname === '/disk') return openDisk(Number(searchParams.get('bytes')));
  const disk = disks.get(decodeURIComponent(pathname.split('/').at(-1) ?? ''));
  if (disk === undefined) return refusePages(404, 'BlobNotFound');
  if (disk.state !== 'ActiveUpload') return refusePages(403, 'AuthenticationFailed');
  if (searchParams.get('comp') === 'pagelist') return listPages(disk);
  if (request.method === 'PUT' && searchParams.get('comp') === 'page') return putPages(request, disk);
  return refusePages(400, 'UnsupportedHttpVerb');
}

function giveToken(resource: string): Answer {
  const expires_on = String(Math.floor(Date.now() / 1000) + 86_400);
  return { status: 200, body: { access_token: 'sink', expires_on, resource, token_type: 'Bearer' } };
}

function openDisk(uploadBytes: number): Answer {
  const name = randomUUID();
  disks.set(name, { uploadBytes, described: {}, state: 'ActiveUpload', held: new Map() });
  return { status: 200, body: addressOf(name) };
}

function addressOf(name: string): string {
  return `http://${plain}/container/${name}?sig=sink`;
}

async function putPages(request: IncomingMessage, { uploadBytes, held }: Disk): Promise<Answer> {
  const [, first = '', last = ''] = /^bytes=(\d+)-(\d+)$/.exec(String(request.headers['x-ms-range'])) ?? [];
  const [start, lengthBytes] = [Number(first), Number(last) + 1 - Number(first)];
  const checksum = checksumFor(request);
  let arrivedBytes = 0;
  request.on('data', (bytes: Buffer) => {
    arrivedBytes += bytes.length;
    checksum.append(bytes);
    freeNow(bytes);
  });
  await once(request, 'end');
  const isPage = first !== '' && start % PAGE_BYTES === 0 && lengthBytes % PAGE_BYTES === 0;
  const isInside = lengthBytes > 0 && lengthBytes <= MAX_PAGES_BYTES && start + lengthBytes <= uploadBytes;
  if (!isPage || !isInside) return refusePages(416, 'InvalidPageRange');
  if (arrivedBytes !== lengthBytes) return refusePages(400, 'InvalidHeaderValue');
  if (!checksum.isRight()) return refusePages(400, 'Crc64Mismatch');
  await sleep(answerAfterMs);
  held.set(start, Math.max(held.get(start) ?? 0, start + lengthBytes));
  const headers = {
    etag: '"0x1"',
    'last-modified': new Date().toUTCString(),
    'x-ms-blob-sequence-number': '0',
  };
  return { status: 201, headers };
}

/** 16,384 such buffers a GiB: the collector would take 0.8 s to free them. Not where others share the memory. */
function freeNow({ buffer, byteLength }: Buffer): void {
  if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength) buffer.transfer(0);
}

function checksumFor({ headers }: IncomingMessage): Checksum {
  const [crc64, md5] = [headers['x-ms-content-crc64'], headers['content-md5']];
  if (crc64 !== undefined) {
    const calculator = openCrc64();
    return {
      append: calculator.append,
      isRight: () => Buffer.from(calculator.digest()).toString('base64') === crc64,
    };
  }
  const hash = createHash('md5');
  if (md5 === undefined) return { append: () => {}, isRight: () => true };
  return { append: (bytes) => void hash.update(bytes), isRight: () => hash.digest('base64') === md5 };
}

function listPages({ held }: Disk): Answer {
  const ranges = [...held]
    .toSorted(([left], [right]) => left - right)
    .map(([start, end]) => `<PageRange><Start>${start}</Start><End>${end - 1}</End></PageRange>`);
  const body = `<?xml version="1.0" encoding="utf-8"?><PageList>${ranges.join('')}</PageList>`;
  return { status: 200, body, headers: { 'last-modified': new Date().toUTCString(), etag: '"0x1"' } };
}

function refusePages(status: number, code: string): Answer {
  const body = `<?xml version="1.0" encoding="utf-8"?><Error><Code>${code}</Code><Message>${code}</Message></Error>`;
  return { status, body, headers: { 'x-ms-error-code': code } };
}

/** Operations end at once: none has to be asked after. */
async function answerDisk(request: IncomingMessage): Promise<Answer> {
  const { method, url = '' } = request;
  const text = await readText(request);
  const [, name = '', action] = DISK.exec(url) ?? [];
  if (name === '') return refuseDisk(404, 'NoRegisteredProviderFound');
  if (method === 'PUT')
    return putDisk({ name, id: url.split('?')[0] ?? '', wanted: JSON.parse(text) as WantedDisk });
  const disk = disks.get(name);
  if (disk === undefined) return refuseDisk(404, 'ResourceNotFound');
  switch (action) {
    case 'beginGetAccess':
      disk.state = 'ActiveUpload';
      return { status: 200, body: { accessSAS: addressOf(name) } };
    case 'endGetAccess':
      // What was held is nobody's any more: a run of benches would gather it.
      if (isWhole(disk)) disk.state = 'Unattached';
      disk.held.clear();
      return { status: disk.state === 'Unattached' ? 200 : 400 };
    default:
      break;
  }
  if (method === 'GET') return { status: 200, body: describe(disk) };
  disks.delete(name);
  return { status: 200 };
}

type WantedDisk = { properties: { creationData: { uploadSizeBytes: number } } };

function putDisk({ name, id, wanted }: { name: string; id: string; wanted: WantedDisk }): Answer {
  const { uploadSizeBytes } = wanted.properties.creationData;
  const described = { ...wanted, id, name, type: 'Microsoft.Compute/disks' };
  const disk: Disk = { uploadBytes: uploadSizeBytes, described, state: 'ReadyToUpload', held: new Map() };
  disks.set(name, disk);
  return { status: 200, body: describe(disk) };
}

function describe({ described, state }: Disk): object {
  const { properties, ...rest } = described as { properties: object; name: string };
  return {
    ...rest,
    properties: { ...properties, diskState: state, provisioningState: 'Succeeded', uniqueId: rest.name },
  };
}

/** Its footer came, which is last. */
function isWhole({ held, uploadBytes }: Disk): boolean {
  return held.get(uploadBytes - PAGE_BYTES) === uploadBytes;
}

function refuseDisk(status: number, code: string): Answer {
  return { status, body: { error: { code, message: code } } };
}

async function readText(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}
