/** A request and its answer as the services see them: no service touches a socket. */
import { open } from 'node:fs/promises';
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { dropConnection, type Fault } from './faults.ts';
import { Refusal } from './refusal.ts';

export type HttpRequest = {
  id: string;
  method: string;
  /** Percent-encoded, as it came. */
  rawPath: string;
  query: URLSearchParams;
  headers: IncomingHttpHeaders;
  /** To be read at most once. Throws where the client goes away in the middle. */
  body: AsyncIterable<Uint8Array>;
  /** Fires when the client went away or the sandbox stops. */
  signal: AbortSignal;
};

export type HttpAnswer = {
  status: number;
  headers: Readonly<Record<string, string>>;
  body: AnswerBody;
};

export type AnswerBody =
  | { kind: 'empty' }
  /** Headers of a body that is not sent (HEAD). */
  | { kind: 'omitted'; lengthBytes: number }
  | { kind: 'text'; text: string }
  | { kind: 'bytes'; bytes: Uint8Array }
  /** Its length is in the headers where it is known. */
  | { kind: 'stream'; stream: Readable }
  | { kind: 'file'; path: string; offsetBytes: number; lengthBytes: number };

export const EMPTY: AnswerBody = { kind: 'empty' };

/** The body of a request, cut by a reset where the fault says so. */
export async function* readBody(request: IncomingMessage, fault: () => Fault | null) {
  let received = 0;
  // An iterator that ended early must not destroy the socket: the refusal still has to be written to it.
  for await (const chunk of request.iterator({ destroyOnReturn: false })) {
    received += (chunk as Uint8Array).length;
    const limit = fault()?.dropAfterBytes;
    if (limit !== undefined && received >= limit) {
      dropConnection(request);
      throw new Error('connection reset by an injected fault');
    }
    yield chunk as Uint8Array;
  }
}

/** Reads a small body whole. Throws a Refusal (413) beyond the limit. */
export async function collectBody(body: AsyncIterable<Uint8Array>, maxBytes: number): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of body) {
    length += chunk.length;
    if (length > maxBytes) {
      throw new Refusal({
        status: 413,
        code: 'RequestEntityTooLarge',
        message: `The body is over ${maxBytes} bytes.`,
      });
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

export async function writeAnswer({
  response,
  answer,
  signal,
}: {
  response: ServerResponse;
  answer: HttpAnswer;
  signal: AbortSignal;
}): Promise<void> {
  const { body } = answer;
  for (const [name, value] of Object.entries(answer.headers)) response.setHeader(name, value);
  response.statusCode = answer.status;
  switch (body.kind) {
    case 'empty':
      if (answer.status !== 204 && answer.status !== 304) response.setHeader('Content-Length', 0);
      response.end();
      return;
    case 'omitted':
      response.setHeader('Content-Length', body.lengthBytes);
      response.end();
      return;
    case 'text':
      response.setHeader('Content-Length', Buffer.byteLength(body.text));
      response.end(body.text);
      return;
    case 'bytes':
      response.setHeader('Content-Length', body.bytes.length);
      response.end(body.bytes);
      return;
    case 'stream':
      await pipeline(body.stream, response, { signal });
      return;
    case 'file':
      await sendFile({ response, body, signal });
      return;
    default:
      body satisfies never;
  }
}

/** Opened before any header is out: an object that was replaced just now is still an error the client understands. */
async function sendFile({
  response,
  body,
  signal,
}: {
  response: ServerResponse;
  body: Extract<AnswerBody, { kind: 'file' }>;
  signal: AbortSignal;
}): Promise<void> {
  const { path, offsetBytes, lengthBytes } = body;
  await using file = await open(path, 'r');
  response.setHeader('Content-Length', lengthBytes);
  if (lengthBytes === 0) {
    response.end();
    return;
  }
  const end = offsetBytes + lengthBytes - 1;
  await pipeline(file.createReadStream({ start: offsetBytes, end, autoClose: false }), response, { signal });
}
