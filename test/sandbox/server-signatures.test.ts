import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { CreateBucketCommand, GetObjectCommand } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Fixture, startFixture } from './server-fixture.ts';
import { hmac, presign, type Signed, sha256, sign } from './server-signer.ts';

const Bucket = 'acme-mig';
const DATA = Buffer.from('the quick brown fox '.repeat(10_000));
let fixture: Fixture;

beforeAll(async () => {
  fixture = await startFixture({ region: 'us-east-1' });
  await fixture.s3().send(new CreateBucketCommand({ Bucket }));
});
afterAll(() => fixture[Symbol.asyncDispose]());

async function stored(Key: string): Promise<Buffer> {
  const { Body } = await fixture.s3().send(new GetObjectCommand({ Bucket, Key }));
  return Buffer.from((await Body?.transformToByteArray()) ?? []);
}

async function put({ url, headers }: Signed, body: Uint8Array | string) {
  const answer = await fetch(url, { method: 'PUT', headers, body: body as string });
  return { status: answer.status, text: await answer.text() };
}

type ChunkOptions = { signed: Signed; trailer?: Record<string, string>; spoil?: boolean; bytes?: number };

/** Chunks of 64 KiB, each signed on top of the one before. */
function signChunks({ signed, trailer, spoil = false, bytes = 65_536 }: ChunkOptions): Buffer {
  const { key, time, scope, seed } = signed.chunks;
  let previous = seed;
  const pieces: Buffer[] = [];
  for (let at = 0; ; at += bytes) {
    const data = DATA.subarray(at, at + bytes);
    const text = ['AWS4-HMAC-SHA256-PAYLOAD', time, scope, previous, sha256(''), sha256(data)].join('\n');
    previous = hmac(key, text).toString('hex');
    pieces.push(
      Buffer.from(`${data.length.toString(16)};chunk-signature=${previous}\r\n`),
      Buffer.from(data),
    );
    if (data.length === 0) break;
    pieces.push(Buffer.from('\r\n'));
  }
  if (spoil && pieces[1] !== undefined) pieces[1][17] = 0;
  if (trailer !== undefined) {
    const lines = Object.entries(trailer).map(([name, value]) => `${name}:${value}\n`);
    const text = ['AWS4-HMAC-SHA256-TRAILER', time, scope, previous, sha256(lines.join(''))].join('\n');
    const signature = hmac(key, text).toString('hex');
    pieces.push(Buffer.from(lines.join('').replaceAll('\n', '\r\n')));
    pieces.push(Buffer.from(`x-amz-trailer-signature:${signature}\r\n`));
  }
  return Buffer.concat([...pieces, Buffer.from('\r\n')]);
}

function crcOf(data: Buffer): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(crc32(data));
  return bytes.toString('base64');
}

describe('a signature', () => {
  it('covers the body’s hash', async () => {
    const wrong = sign(fixture.sandbox, { method: 'PUT', path: `/${Bucket}/a`, payload: sha256('other') });
    expect(await put(wrong, DATA)).toMatchObject({
      status: 400,
      text: expect.stringContaining('<Code>XAmzContentSHA256Mismatch</Code>'),
    });
    const right = sign(fixture.sandbox, { method: 'PUT', path: `/${Bucket}/a`, payload: sha256(DATA) });
    expect((await put(right, DATA)).status).toBe(200);
    expect(await stored('a')).toEqual(DATA);
  });

  it('covers every x-amz header', async () => {
    const signed = sign(fixture.sandbox, { method: 'PUT', path: `/${Bucket}/a` });
    const headers = { ...signed.headers, 'x-amz-tagging': 'a=b' };
    expect(await put({ ...signed, headers }, DATA)).toMatchObject({
      status: 403,
      text: expect.stringContaining('<HeadersNotSigned>x-amz-tagging</HeadersNotSigned>'),
    });
  });

  it('covers the query and the path', async () => {
    const signed = sign(fixture.sandbox, { method: 'PUT', path: `/${Bucket}/a` });
    const moved = await put({ ...signed, url: signed.url.replace('/a', '/b') }, DATA);
    expect(moved.text).toContain('SignatureDoesNotMatch');
    const asked = await put({ ...signed, url: `${signed.url}?tagging` }, DATA);
    expect(asked.text).toContain('SignatureDoesNotMatch');
  });

  it('may be in the URL, until it expires', async () => {
    const { sandbox } = fixture;
    await put(sign(sandbox, { method: 'PUT', path: `/${Bucket}/a` }), DATA);
    const good = await fetch(presign(sandbox, { method: 'GET', path: `/${Bucket}/a`, seconds: 60 }));
    expect(Buffer.from(await good.arrayBuffer())).toEqual(DATA);
    const time = new Date(Date.now() - 120_000);
    const late = await fetch(presign(sandbox, { method: 'GET', path: `/${Bucket}/a`, seconds: 60, time }));
    expect(late.status).toBe(403);
    expect(await late.text()).toContain('Request has expired');
    const other = await fetch(presign(sandbox, { method: 'GET', path: `/${Bucket}/b`, seconds: 60 }), {
      method: 'DELETE',
    });
    expect(await other.text()).toContain('SignatureDoesNotMatch');
  });

  it('that is malformed is told from one that is wrong', async () => {
    const headers = { authorization: 'AWS4-HMAC-SHA256 Credential=nonsense' };
    const answer = await fetch(`${fixture.sandbox.url}/${Bucket}/a`, { headers });
    expect(answer.status).toBe(400);
    expect(await answer.text()).toContain('AuthorizationHeaderMalformed');
  });
});

describe('signed chunks', () => {
  const path = `/${Bucket}/chunked`;
  const payload = 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD';
  const length = { 'x-amz-decoded-content-length': String(DATA.length), 'content-encoding': 'aws-chunked' };

  it('are taken when each is signed, and `aws-chunked` is not part of the object', async () => {
    const signed = sign(fixture.sandbox, { method: 'PUT', path, payload, headers: length });
    expect(await put(signed, signChunks({ signed }))).toMatchObject({ status: 200 });
    expect(await stored('chunked')).toEqual(DATA);
    const { ContentEncoding } = await fixture.s3().send(new GetObjectCommand({ Bucket, Key: 'chunked' }));
    expect(ContentEncoding).toBeUndefined();
  });

  it('are refused when one was altered on the way', async () => {
    const signed = sign(fixture.sandbox, { method: 'PUT', path, payload, headers: length });
    const { status, text } = await put(signed, signChunks({ signed, spoil: true }));
    expect(status).toBe(403);
    expect(text).toContain('SignatureDoesNotMatch');
    expect(await stored('chunked')).toEqual(DATA);
  });

  it('carry a signed checksum behind them', async () => {
    const headers = { ...length, 'x-amz-trailer': 'x-amz-checksum-crc32' };
    const request = { method: 'PUT', path, payload: `${payload}-TRAILER`, headers };
    const signed = sign(fixture.sandbox, request);
    const right = signChunks({ signed, trailer: { 'x-amz-checksum-crc32': crcOf(DATA) }, bytes: 1000 });
    expect(await put(signed, right)).toMatchObject({ status: 200 });
    const wrong = signChunks({ signed, trailer: { 'x-amz-checksum-crc32': crcOf(Buffer.from('x')) } });
    expect((await put(signed, wrong)).text).toContain('<Code>BadDigest</Code>');
    const absent = signChunks({ signed, trailer: { 'x-amz-checksum-sha1': 'x' } });
    expect((await put(signed, absent)).text).toContain('<Code>MalformedTrailerError</Code>');
  });

  it('that end early are refused', async () => {
    const signed = sign(fixture.sandbox, { method: 'PUT', path, payload, headers: length });
    const whole = signChunks({ signed });
    const { text } = await put(signed, whole.subarray(0, 70_000));
    expect(text).toContain('<Code>IncompleteBody</Code>');
  });

  it('must be as long as was said', async () => {
    const headers = { ...length, 'x-amz-decoded-content-length': String(DATA.length + 1) };
    const signed = sign(fixture.sandbox, { method: 'PUT', path, payload, headers });
    expect((await put(signed, signChunks({ signed }))).text).toContain('<Code>IncompleteBody</Code>');
  });
});

it('takes Content-MD5, and refuses a wrong one', async () => {
  const path = `/${Bucket}/md5`;
  const md5 = (text: string | Buffer) => createHash('md5').update(text).digest('base64');
  const send = (value: string) =>
    put(sign(fixture.sandbox, { method: 'PUT', path, headers: { 'content-md5': value } }), DATA);
  expect((await send(md5(DATA))).status).toBe(200);
  expect((await send(md5('other'))).text).toContain('<Code>BadDigest</Code>');
  expect((await send('short')).text).toContain('<Code>InvalidDigest</Code>');
});
