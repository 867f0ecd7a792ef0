import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Evidence } from '../../src/domain/ports.ts';
import { openEvidence } from '../../src/evidence/evidence.ts';
import { type Sandbox, startSandbox } from '../../src/sandbox/server.ts';

let sandbox: Sandbox;
let sandboxFolder: string;
let folder: string;
let bucket: string;

beforeAll(async () => {
  sandboxFolder = await mkdtemp(join(tmpdir(), 'landfall-evidence-'));
  sandbox = await startSandbox({ folder: sandboxFolder, acceleration: 'tcg' });
  for (const [name, value] of Object.entries(sandbox.environment)) vi.stubEnv(name, value);
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await sandbox?.stop();
  await rm(sandboxFolder, { recursive: true });
});

let bucketCount = 0;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'landfall-evidence-'));
  bucketCount += 1;
  bucket = `evidence-${bucketCount}`;
  const s3 = new S3Client({ forcePathStyle: true });
  const CreateBucketConfiguration = { LocationConstraint: 'eu-central-1' as const };
  await s3.send(new CreateBucketCommand({ Bucket: bucket, CreateBucketConfiguration }));
  s3.destroy();
});
afterEach(() => rm(folder, { recursive: true }));

describe.each<[string, () => { evidence: Evidence; place: string }]>([
  ['a folder', () => ({ evidence: openEvidence(join(folder, 'store')), place: join(folder, 'store') })],
  [
    'a bucket',
    () => ({ evidence: openEvidence(`s3://${bucket}/acme/proofs/`), place: `s3://${bucket}/acme/proofs` }),
  ],
])('evidence in %s', (_, open) => {
  test('gives back the bytes that were put, and the newer ones after they were put again', async () => {
    const { evidence } = open();
    const bytes = Uint8Array.from({ length: 70_000 }, (_, i) => i % 251);
    await evidence.put('run-1/shop-db/screenshot.png', bytes);
    expect(Buffer.from((await evidence.get('run-1/shop-db/screenshot.png')) ?? [])).toEqual(
      Buffer.from(bytes),
    );
    await evidence.put('run-1/shop-db/screenshot.png', 'größer');
    expect(Buffer.from((await evidence.get('run-1/shop-db/screenshot.png')) ?? []).toString()).toBe('größer');
  });

  test('is not touched under a signal that was aborted, and says why', async () => {
    const { evidence } = open();
    await evidence.put('a', 'before');
    const reason = new Error('the worker stops');
    const signal = AbortSignal.abort(reason);
    // An error other than the reason would be taken for a broken store and be tried again.
    await expect(evidence.put('a', 'after', signal)).rejects.toBe(reason);
    await expect(evidence.get('a', signal)).rejects.toBe(reason);
    await expect(evidence.list('', signal)).rejects.toBe(reason);
    expect(Buffer.from((await evidence.get('a')) ?? []).toString()).toBe('before');
  });

  test('has null for what was never put, also below a file', async () => {
    const { evidence } = open();
    expect(await evidence.get('run-1/none.txt')).toBeNull();
    await evidence.put('run-1/file', 'x');
    expect(await evidence.get('run-1/file/below')).toBeNull();
  });

  test('lists what begins with a prefix, in order', async () => {
    const { evidence } = open();
    expect(await evidence.list('')).toEqual([]);
    for (const path of ['run-2/b/proof.json', 'run-1/a/proof.json', 'run-1/ab/console.txt', 'run-10/a']) {
      await evidence.put(path, 'x');
    }
    expect(await evidence.list('run-1/')).toEqual(['run-1/a/proof.json', 'run-1/ab/console.txt']);
    expect(await evidence.list('run-1/a')).toEqual(['run-1/a/proof.json', 'run-1/ab/console.txt']);
    expect(await evidence.list('run-1')).toHaveLength(3);
    expect(await evidence.list('run-3/')).toEqual([]);
    expect(await evidence.list('')).toHaveLength(4);
  });

  test('says where an operator finds it', () => {
    const { evidence, place } = open();
    expect(evidence.locate('run-1/a/proof.json')).toBe(`${place}/run-1/a/proof.json`);
  });

  test.each([
    '../out',
    'a/../../out',
    '/etc/passwd',
    'a//b',
    'a/./b',
    '',
    'a/',
    'a\\b',
    'a\0b',
    'x'.repeat(300),
  ])('refuses the path %j', async (path) => {
    const { evidence } = open();
    const refused = expect.objectContaining({ code: 'internal' });
    await expect((async () => evidence.put(path, 'x'))()).rejects.toEqual(refused);
    await expect((async () => evidence.get(path))()).rejects.toEqual(refused);
    expect(() => evidence.locate(path)).toThrow(refused);
  });
});

describe('a folder', () => {
  test('shows no half-written evidence of a killed worker', async () => {
    const evidence = openEvidence(folder);
    await evidence.put('run-1/proof.json', '{}');
    await writeFile(join(folder, 'run-1/.unfinished-0123456789abcdef'), 'half');
    expect(await evidence.list('')).toEqual(['run-1/proof.json']);
  });

  test('is replaced in one step: a reader never sees a part', async () => {
    const evidence = openEvidence(folder);
    const texts = ['a'.repeat(1_000_000), 'b'.repeat(1_000_000)];
    await evidence.put('console.txt', texts[0] ?? '');
    const writing = Promise.all(
      Array.from({ length: 20 }, (_, i) => evidence.put('console.txt', texts[i % 2] ?? '')),
    );
    let isWriting = true;
    const ended = writing.finally(() => {
      isWriting = false;
    });
    while (isWriting) expect(texts).toContain(await readFile(join(folder, 'console.txt'), 'utf8'));
    await ended;
    expect(await readdir(folder)).toEqual(['console.txt']);
  });

  test('is not left by a symbolic link', async () => {
    const store = join(folder, 'store');
    await mkdir(join(folder, 'outside'));
    await mkdir(store);
    await symlink(join(folder, 'outside'), join(store, 'run-1'));
    const refused = { code: 'evidence-unavailable', message: expect.stringContaining('symbolic link') };
    await expect(openEvidence(store).put('run-1/proof.json', '{}')).rejects.toMatchObject(refused);
    expect(await readdir(join(folder, 'outside'))).toEqual([]);
  });

  test('that cannot be made is told with what to do', async () => {
    await writeFile(join(folder, 'file'), '');
    await expect(openEvidence(join(folder, 'file')).put('a', 'x')).rejects.toMatchObject({
      code: 'evidence-unavailable',
      retryable: true,
      message: expect.stringContaining('set LANDFALL_EVIDENCE'),
    });
  });
});

describe('a bucket', () => {
  test('that does not exist is told, and not tried again', async () => {
    await expect(openEvidence('s3://no-such-bucket').put('a', 'x')).rejects.toMatchObject({
      code: 'evidence-unavailable',
      retryable: false,
      message: expect.stringMatching(/s3:\/\/no-such-bucket\/a .*Create the bucket/),
    });
  });

  test('that refuses our key is told with the right that is missing', async () => {
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'wrong');
    try {
      await expect(openEvidence(`s3://${bucket}`).put('a', 'x')).rejects.toMatchObject({
        code: 'evidence-unavailable',
        retryable: false,
        message: expect.stringContaining('s3:PutObject'),
      });
    } finally {
      vi.stubEnv('AWS_SECRET_ACCESS_KEY', sandbox.credentials.secretAccessKey);
    }
  });

  test('is written again when the connection breaks', async () => {
    const evidence = openEvidence(`s3://${bucket}`);
    sandbox.faults.add({ service: 's3', action: 'PutObject', dropAfterBytes: 0 });
    await evidence.put('proof.json', '{"landed":true}');
    expect(Buffer.from((await evidence.get('proof.json')) ?? []).toString()).toBe('{"landed":true}');
  });
});

describe('a bucket that does not answer', () => {
  test.each<[string, (evidence: Evidence, signal: AbortSignal) => Promise<unknown>]>([
    ['PutObject', (evidence, signal) => evidence.put('a', 'x', signal)],
    ['GetObject', (evidence, signal) => evidence.get('a', signal)],
    ['ListObjectsV2', (evidence, signal) => evidence.list('', signal)],
  ])('is let go of when the signal aborts: %s', async (action, ask) => {
    const evidence = openEvidence(`s3://${bucket}`);
    sandbox.faults.add({ service: 's3', action, delayMs: 2_000 });
    const startedAt = performance.now();
    await expect(ask(evidence, AbortSignal.timeout(100))).rejects.toMatchObject({ name: 'TimeoutError' });
    expect(performance.now() - startedAt).toBeLessThan(1_500);
  });
});

test.each(['s3://', 's3://UPPER/x', 'https://example.com', 'relative/folder', 's3:/bucket'])(
  'refuses %s as a place for evidence',
  (place) => {
    expect(() => openEvidence(place)).toThrow(expect.objectContaining({ code: 'usage' }));
  },
);
