/** The least S3 server that multipart uploads need, with the shortcomings that other vendors' servers have. */
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';

export type PlainS3Options = {
  /** What happens to checksums that Create asks for. */
  checksums: 'refused' | 'ignored' | 'parts-only';
  /** Parts on one page of ListParts. */
  partsPerPage?: number;
  /** Refuses conditional writes with NotImplemented. */
  refusesConditions?: boolean;
  /** The first Complete answers 200 with an error inside, as S3 does when it fails late. */
  failsLate?: boolean;
};

export type PlainS3 = AsyncDisposable & {
  endpoint: string;
  /** Finished objects by `/bucket/key`. */
  objects: Map<string, Buffer>;
  /** `Create`, `UploadPart 3`, `Complete` …, in the order of their arrival. */
  requests: readonly string[];
};

type Part = { bytes: Buffer; etag: string; crc: string | null };
type Upload = { path: string; parts: Map<number, Part> };

export async function startPlainS3(options: PlainS3Options): Promise<PlainS3> {
  const { checksums, partsPerPage = 1000 } = options;
  const objects = new Map<string, Buffer>();
  const uploads = new Map<string, Upload>();
  const requests: string[] = [];
  let failsLate = options.failsLate === true;

  const answer = async (
    request: IncomingMessage,
  ): Promise<[status: number, body: string, headers?: object]> => {
    const url = new URL(request.url ?? '/', 'http://host');
    const body = await readAll(request);
    const is = (method: string, parameter: string): boolean =>
      request.method === method && url.searchParams.has(parameter);
    if (is('GET', 'uploads')) return [200, '<ListMultipartUploadsResult></ListMultipartUploadsResult>'];
    if (is('POST', 'uploads')) {
      requests.push('Create');
      const asks = request.headers['x-amz-checksum-algorithm'] !== undefined;
      const isFull = request.headers['x-amz-checksum-type'] === 'FULL_OBJECT';
      if (checksums === 'refused' && asks) return [501, errorXml('NotImplemented')];
      if (checksums === 'parts-only' && isFull) return [400, errorXml('InvalidRequest')];
      const id = `u${requests.length}`;
      uploads.set(id, { path: url.pathname, parts: new Map() });
      const headers = checksums === 'parts-only' && asks ? PARTS_ONLY : {};
      const xml = `<InitiateMultipartUploadResult><UploadId>${id}</UploadId></InitiateMultipartUploadResult>`;
      return [200, xml, headers];
    }
    const uploadId = url.searchParams.get('uploadId') ?? '';
    const upload = uploads.get(uploadId);
    if (is('PUT', 'partNumber')) {
      const number = Number(url.searchParams.get('partNumber'));
      requests.push(`UploadPart ${number}`);
      if (upload === undefined) return [404, errorXml('NoSuchUpload')];
      const etag = `"${createHash('md5').update(body).digest('hex')}"`;
      const crc = checksums === 'parts-only' ? String(request.headers['x-amz-checksum-crc32']) : null;
      upload.parts.set(number, { bytes: body, etag, crc });
      return [200, '', { ETag: etag }];
    }
    if (is('GET', 'uploadId')) {
      requests.push('ListParts');
      if (upload === undefined) return [404, errorXml('NoSuchUpload')];
      const after = Number(url.searchParams.get('part-number-marker') ?? 0);
      const rest = [...upload.parts].sort(([a], [b]) => a - b).filter(([number]) => number > after);
      return [200, listXml(rest, { partsPerPage, isChecked: checksums === 'parts-only' })];
    }
    if (is('POST', 'uploadId')) {
      requests.push('Complete');
      if (upload === undefined) return [404, errorXml('NoSuchUpload')];
      if (options.refusesConditions === true && request.headers['if-none-match'] !== undefined)
        return [501, errorXml('NotImplemented')];
      if (failsLate) {
        failsLate = false;
        return [200, errorXml('InternalError')];
      }
      const named = [...body.toString().matchAll(/<PartNumber>(\d+)</g)].map(([, number]) => Number(number));
      const whole = named.map((number) => upload.parts.get(number)?.bytes ?? Buffer.alloc(0));
      objects.set(upload.path, Buffer.concat(whole));
      uploads.delete(uploadId);
      return [200, '<CompleteMultipartUploadResult><ETag>"e"</ETag></CompleteMultipartUploadResult>'];
    }
    if (is('DELETE', 'uploadId')) {
      requests.push('Abort');
      uploads.delete(uploadId);
      return [204, ''];
    }
    const object = objects.get(url.pathname);
    if (request.method === 'DELETE') {
      objects.delete(url.pathname);
      return [204, ''];
    }
    if (request.method === 'HEAD' && object !== undefined)
      return [200, '', { 'Content-Length': String(object.length) }];
    return [404, request.method === 'HEAD' ? '' : errorXml('NoSuchKey')];
  };

  const server = createServer((request, response) => {
    void answer(request).then(([status, body, headers = {}]) => {
      response.writeHead(status, { 'Content-Type': 'application/xml', ...headers }).end(body);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    objects,
    requests,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const PARTS_ONLY = { 'x-amz-checksum-algorithm': 'CRC32', 'x-amz-checksum-type': 'COMPOSITE' };

function listXml(
  rest: readonly (readonly [number, Part])[],
  { partsPerPage, isChecked }: { partsPerPage: number; isChecked: boolean },
): string {
  const page = rest.slice(0, partsPerPage);
  const items = page.map(
    ([number, { bytes, etag, crc }]) =>
      `<Part><PartNumber>${number}</PartNumber><ETag>${etag}</ETag><Size>${bytes.length}</Size>${crc === null ? '' : `<ChecksumCRC32>${crc}</ChecksumCRC32>`}</Part>`,
  );
  const isTruncated = page.length < rest.length;
  const next = isTruncated ? `<NextPartNumberMarker>${page.at(-1)?.[0]}</NextPartNumberMarker>` : '';
  const checked = isChecked
    ? '<ChecksumAlgorithm>CRC32</ChecksumAlgorithm><ChecksumType>COMPOSITE</ChecksumType>'
    : '';
  return `<ListPartsResult><IsTruncated>${isTruncated}</IsTruncated>${next}${checked}${items.join('')}</ListPartsResult>`;
}

function errorXml(code: string): string {
  return `<Error><Code>${code}</Code><Message>${code}</Message></Error>`;
}

async function readAll(request: IncomingMessage): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of request) pieces.push(piece as Buffer);
  return Buffer.concat(pieces);
}
