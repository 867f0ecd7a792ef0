/** Signature Version 4 written from its specification, apart from the server's own code: what raw requests are signed with. */
import { createHash, createHmac } from 'node:crypto';
import type { Sandbox } from '../../src/sandbox/server.ts';

export type RawRequest = {
  method: string;
  /** Percent-encoded, with the query. */
  path: string;
  headers?: Record<string, string>;
  /** What x-amz-content-sha256 says. */
  payload?: string;
  time?: Date;
  host?: string;
};

export type Signed = {
  url: string;
  headers: Record<string, string>;
  /** For signed chunks. */
  chunks: { key: Buffer; time: string; scope: string; seed: string };
};

export function sha256(data: string | Uint8Array): string {
  return createHash('sha256').update(data).digest('hex');
}

export function hmac(key: Buffer | string, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}

export function sign(sandbox: Sandbox, request: RawRequest): Signed {
  const time = stamp(request.time ?? new Date());
  const payload = request.payload ?? 'UNSIGNED-PAYLOAD';
  const headers: Record<string, string> = {
    ...request.headers,
    host: request.host ?? new URL(sandbox.url).host,
    'x-amz-date': time,
    'x-amz-content-sha256': payload,
  };
  const names = Object.keys(headers).sort();
  const [path = '', query = ''] = request.path.split('?');
  const canonical = [
    request.method,
    path,
    canonicalQuery(query),
    ...names.map((name) => `${name}:${headers[name]}`),
    '',
    names.join(';'),
    payload,
  ].join('\n');
  const { key, scope } = derive(sandbox, time);
  const seed = hmac(key, ['AWS4-HMAC-SHA256', time, scope, sha256(canonical)].join('\n')).toString('hex');
  const credential = `${sandbox.credentials.accessKeyId}/${scope}`;
  headers.authorization = `AWS4-HMAC-SHA256 Credential=${credential}, SignedHeaders=${names.join(';')}, Signature=${seed}`;
  return { url: `${sandbox.url}${request.path}`, headers, chunks: { key, time, scope, seed } };
}

/** A presigned URL. */
export function presign(
  sandbox: Sandbox,
  {
    method,
    path,
    seconds,
    time = new Date(),
  }: { method: string; path: string; seconds: number; time?: Date },
): string {
  const at = stamp(time);
  const { key, scope } = derive(sandbox, at);
  const query = canonicalQuery(
    new URLSearchParams({
      'X-Amz-Algorithm': 'AWS4-HMAC-SHA256',
      'X-Amz-Credential': `${sandbox.credentials.accessKeyId}/${scope}`,
      'X-Amz-Date': at,
      'X-Amz-Expires': String(seconds),
      'X-Amz-SignedHeaders': 'host',
    }).toString(),
  );
  const host = new URL(sandbox.url).host;
  const canonical = [method, path, query, `host:${host}`, '', 'host', 'UNSIGNED-PAYLOAD'].join('\n');
  const text = ['AWS4-HMAC-SHA256', at, scope, sha256(canonical)].join('\n');
  return `${sandbox.url}${path}?${query}&X-Amz-Signature=${hmac(key, text).toString('hex')}`;
}

function derive(sandbox: Sandbox, time: string) {
  const date = time.slice(0, 8);
  const start = Buffer.from(`AWS4${sandbox.credentials.secretAccessKey}`);
  const key = [date, sandbox.region, 's3', 'aws4_request'].reduce<Buffer>(hmac, start);
  return { key, scope: `${date}/${sandbox.region}/s3/aws4_request` };
}

function canonicalQuery(query: string): string {
  return [...new URLSearchParams(query)]
    .map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`)
    .sort()
    .join('&');
}

function stamp(time: Date): string {
  return time.toISOString().replace(/[-:]|\.\d+/g, '');
}
