/** S3's answers: XML documents, bare headers, errors. */
import { EMPTY, type HttpAnswer } from '../http.ts';
import type { Refusal } from '../refusal.ts';
import { writeXml, type XmlObject } from '../xml.ts';
import { type Checksum, checksumElement, checksumHeader } from './checksum.ts';

export const S3_NAMESPACE = 'http://s3.amazonaws.com/doc/2006-03-01/';

type Headers = Readonly<Record<string, string>>;

export function answerXml(root: string, body: XmlObject): HttpAnswer {
  const text = writeXml({ root, namespace: S3_NAMESPACE, body, lists: 'flat' });
  return {
    status: 200,
    headers: { 'content-type': 'application/xml' },
    body: { kind: 'text', text },
  };
}

export function withHeaders(answer: HttpAnswer, headers: Headers): HttpAnswer {
  return { ...answer, headers: { ...answer.headers, ...headers } };
}

export function answerEmpty(status: number, headers: Headers = {}): HttpAnswer {
  return { status, headers, body: EMPTY };
}

/** A HEAD request is told the status only. */
export function answerRefusal(refusal: Refusal, request: { id: string; method: string }): HttpAnswer {
  const { status, code, message, fields } = refusal;
  const region = fields.BucketRegion;
  const headers: Headers = region === undefined ? {} : { 'x-amz-bucket-region': region };
  if (request.method === 'HEAD') return answerEmpty(status, headers);
  const body = { Code: code, Message: message, ...fields, RequestId: request.id, HostId: hostId(request.id) };
  const text = writeXml({ root: 'Error', body, lists: 'flat' });
  return {
    status,
    headers: { 'content-type': 'application/xml', ...headers },
    body: { kind: 'text', text },
  };
}

/** The second id that support asks for: S3 sends one with every answer. */
export function hostId(requestId: string): string {
  return Buffer.from(`landfall-sandbox/${requestId}`).toString('base64');
}

export function quoteEtag(etag: string): string {
  return `"${etag}"`;
}

export function checksumHeaders(checksum: Checksum | null): Record<string, string> {
  if (checksum === null) return {};
  return {
    [checksumHeader(checksum.algorithm)]: checksum.value,
    'x-amz-checksum-type': checksum.type,
  };
}

export function checksumMembers(checksum: Checksum | null): XmlObject {
  if (checksum === null) return {};
  return { [checksumElement(checksum.algorithm)]: checksum.value, ChecksumType: checksum.type };
}
