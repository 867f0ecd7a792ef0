/** A request to S3 once its address was understood and its signature was found true. */
import type { ChunkSigning } from '../aws-chunked.ts';
import type { HttpRequest } from '../http.ts';

export type S3Address =
  | { level: 'service' }
  | { level: 'bucket'; bucket: string }
  | { level: 'object'; bucket: string; key: string };

export type S3Request = {
  http: HttpRequest;
  /** Empty where the address names none. */
  bucket: string;
  key: string;
  /** The region whose endpoint the client meant: the signature's. */
  region: string;
  /** What signed chunks build on; null for a presigned URL. */
  signing: ChunkSigning | null;
};

/**
 * Virtual-host style where the host has a label before `localhost`, else path style. Null: the path is no valid
 * percent-encoding.
 */
export function readAddress({
  rawPath,
  headers,
}: Pick<HttpRequest, 'rawPath' | 'headers'>): S3Address | null {
  const path = decode(rawPath.slice(1));
  if (path === null) return null;
  const host = (headers.host ?? '').replace(/:\d+$/, '').toLowerCase();
  const bucket = /^(.+)\.localhost$/.exec(host)?.[1];
  if (bucket !== undefined) {
    return path === '' ? { level: 'bucket', bucket } : { level: 'object', bucket, key: path };
  }
  if (path === '') return { level: 'service' };
  const slash = path.indexOf('/');
  if (slash < 0 || slash === path.length - 1) {
    return { level: 'bucket', bucket: slash < 0 ? path : path.slice(0, slash) };
  }
  return { level: 'object', bucket: path.slice(0, slash), key: path.slice(slash + 1) };
}

function decode(text: string): string | null {
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}
