/**
 * The `aws-chunked` body: chunks within the body, each signed or not, and headers that trail it.
 *   SIZE_HEX[;chunk-signature=HEX]CRLF DATA CRLF … 0[;chunk-signature=HEX]CRLF [NAME:VALUE CRLF …] CRLF
 * https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html
 */
import { createHash, type Hash } from 'node:crypto';
import { Refusal } from './refusal.ts';
import { EMPTY_SHA256, isSame, signText } from './sigv4.ts';

/** What chains the chunks' signatures; null: they are not signed. */
export type ChunkSigning = {
  key: Buffer;
  time: string;
  scope: string;
  /** The signature of the request's headers, which the first chunk's builds on. */
  seed: string;
};

export type ChunkedOptions = {
  body: AsyncIterable<Uint8Array>;
  signing: ChunkSigning | null;
  hasTrailer: boolean;
};

export type ChunkedBody = {
  data: AsyncIterable<Uint8Array>;
  /** Lower-case names; complete once `data` ended. */
  trailers: ReadonlyMap<string, string>;
};

/** Of a chunk's header line, and of the trailer. */
const MAX_LINE_BYTES = 4096;
const MAX_TRAILERS = 16;
const TRAILER_SIGNATURE = 'x-amz-trailer-signature';

/** Reading `data` throws IncompleteBody, MalformedTrailerError or SignatureDoesNotMatch. */
export function decodeChunks({ body, signing, hasTrailer }: ChunkedOptions): ChunkedBody {
  const trailers = new Map<string, string>();
  return { data: readChunks({ body, signing, hasTrailer, trailers }), trailers };
}

async function* readChunks({
  body,
  signing,
  hasTrailer,
  trailers,
}: ChunkedOptions & { trailers: Map<string, string> }): AsyncGenerator<Uint8Array> {
  // Let go of the body at the end, also where a refusal cut the reading short: else nobody else could drain it.
  await using reader = createReader(body);
  let previous = signing?.seed ?? '';
  for (;;) {
    const { size, signature } = parseChunkHeader(await reader.line());
    const hash = signing === null ? null : createHash('sha256');
    for (let left = size; left > 0; ) {
      const piece = await reader.bytes(left);
      left -= piece.length;
      hash?.update(piece);
      yield piece;
    }
    if (signing !== null && hash !== null) {
      previous = checkChunk({ signing, previous, signature, hash });
    }
    if (size === 0) break;
    if ((await reader.line()) !== '') throw incomplete();
  }
  await readTrailers({ reader, trailers, hasTrailer });
  if (signing !== null && hasTrailer) checkTrailers({ signing, previous, trailers });
  trailers.delete(TRAILER_SIGNATURE);
}

async function readTrailers({
  reader,
  trailers,
  hasTrailer,
}: {
  reader: Reader;
  trailers: Map<string, string>;
  hasTrailer: boolean;
}): Promise<void> {
  for (let line = await reader.line(); line !== ''; line = await reader.line()) {
    const at = line.indexOf(':');
    if (!hasTrailer || at < 1 || trailers.size >= MAX_TRAILERS) throw malformedTrailer();
    trailers.set(line.slice(0, at).toLowerCase().trim(), line.slice(at + 1).trim());
  }
}

function parseChunkHeader(line: string): { size: number; signature: string } {
  const match = /^([0-9a-fA-F]{1,12})(?:;chunk-signature=([0-9a-f]{64}))?$/.exec(line);
  if (match === null) throw incomplete();
  return { size: Number.parseInt(match[1] ?? '', 16), signature: match[2] ?? '' };
}

function checkChunk({
  signing,
  previous,
  signature,
  hash,
}: {
  signing: ChunkSigning;
  previous: string;
  signature: string;
  hash: Hash;
}): string {
  const { key, time, scope } = signing;
  const name = 'AWS4-HMAC-SHA256-PAYLOAD';
  const text = [name, time, scope, previous, EMPTY_SHA256, hash.digest('hex')].join('\n');
  if (!isSame(signText(key, text), signature)) throw wrongSignature();
  return signature;
}

function checkTrailers({
  signing,
  previous,
  trailers,
}: {
  signing: ChunkSigning;
  previous: string;
  trailers: ReadonlyMap<string, string>;
}): void {
  const lines = [...trailers].filter(([name]) => name !== TRAILER_SIGNATURE);
  const canonical = lines.map(([name, value]) => `${name}:${value}\n`).join('');
  const hash = createHash('sha256').update(canonical).digest('hex');
  const text = ['AWS4-HMAC-SHA256-TRAILER', signing.time, signing.scope, previous, hash].join('\n');
  if (!isSame(signText(signing.key, text), trailers.get(TRAILER_SIGNATURE) ?? '')) throw wrongSignature();
}

type Reader = AsyncDisposable & {
  /** Up to CRLF, which is taken and left out. */
  line(): Promise<string>;
  /** At least one byte, at most `max`. */
  bytes(max: number): Promise<Uint8Array>;
};

function createReader(body: AsyncIterable<Uint8Array>): Reader {
  const source = body[Symbol.asyncIterator]();
  let rest: Buffer = Buffer.alloc(0);
  const fill = async (): Promise<boolean> => {
    const next = await source.next();
    if (next.done === true) return false;
    const { buffer, byteOffset, byteLength } = next.value;
    const chunk = Buffer.from(buffer, byteOffset, byteLength);
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    return true;
  };
  return {
    async line() {
      for (;;) {
        const end = rest.indexOf('\r\n');
        if (end >= 0) {
          const line = rest.toString('latin1', 0, end);
          rest = rest.subarray(end + 2);
          return line;
        }
        if (rest.length > MAX_LINE_BYTES) throw incomplete();
        if (!(await fill())) throw incomplete();
      }
    },
    async bytes(max) {
      while (rest.length === 0) if (!(await fill())) throw incomplete();
      const piece = rest.subarray(0, max);
      rest = rest.subarray(piece.length);
      return piece;
    },
    [Symbol.asyncDispose]: async () => void (await source.return?.()),
  };
}

function incomplete(): Refusal {
  const message =
    'You did not provide the number of bytes specified by the Content-Length HTTP header or its chunks are malformed.';
  return new Refusal({ status: 400, code: 'IncompleteBody', message });
}

function malformedTrailer(): Refusal {
  const message =
    'The request contained trailing data that was not well-formed or did not conform to our published schema.';
  return new Refusal({ status: 400, code: 'MalformedTrailerError', message });
}

function wrongSignature(): Refusal {
  const message =
    'The request signature we calculated does not match the signature you provided. Check your key and signing method.';
  return new Refusal({ status: 403, code: 'SignatureDoesNotMatch', message });
}
