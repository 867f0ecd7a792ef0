import { randomBytes } from 'node:crypto';
import { S3Client } from '@aws-sdk/client-s3';
import { expect, test } from 'vitest';
import { openUploadSink } from '../../../../adapters/targets/aws/upload-sink.ts';
import { crc32, crc32ToHex } from '../../../../src/blocks/crc32.ts';
import type { Artifact } from '../../../../src/domain/landing.ts';
import type { UploadRequest, UploadSink } from '../../../../src/domain/ports.ts';
import { createDurableState, createStepContext, type FakeStepContext } from '../../../fakes/step-context.ts';
import { machineWith } from '../machines.ts';
import { type PlainS3Options, startPlainS3 } from './plain-s3.ts';

const MIB = 2 ** 20;
const BYTES = randomBytes(22 * MIB);
const REQUEST: UploadRequest = {
  machine: machineWith(),
  disk: '0',
  to: {},
  container: 'raw',
  lengthBytes: BYTES.length,
};

test.each<[string, PlainS3Options, RegExp]>([
  ['refuses to hear of checksums', { checksums: 'refused' }, /keeps no CRC-32/],
  ['ignores checksums', { checksums: 'ignored' }, /keeps no CRC-32/],
  ['checks parts only', { checksums: 'parts-only' }, /no checksum of full objects/],
  ['takes no conditional writes', { checksums: 'ignored', refusesConditions: true }, /keeps no CRC-32/],
])('a server that %s gets the bytes, and the log says what is not checked', async (_, options, warning) => {
  await using server = await startPlainS3(options);
  const context = createStepContext();
  const sink = await openOn(server.endpoint, context);
  await writeParts(sink, [1, 2, 3, 4, 5]);
  const artifact = await finish(sink);
  expect([...server.objects.values()].map((object) => object.equals(BYTES))).toEqual([true]);
  expect(context.logs.map(({ message }) => message).join('\n')).toMatch(warning);
  expect(artifact.digests).toContainEqual({
    algorithm: 'crc32',
    value: crc32ToHex(crc32(BYTES)),
    isConfirmed: false,
  });
});

test('a part that was damaged before it was sent is refused even where the server checks nothing', async () => {
  await using server = await startPlainS3({ checksums: 'ignored' });
  const sink = await openOn(server.endpoint, createStepContext());
  const bytes = BYTES.subarray(0, sink.partBytes);
  const part = { number: 1, bytes, crc32: (crc32(bytes) ^ 1) >>> 0 };
  await expect(sink.writePart(part, AbortSignal.timeout(10_000))).rejects.toMatchObject({
    code: 'target-refused',
    retryable: true,
  });
  expect(server.requests).not.toContain('UploadPart 1');
});

test('reads all pages of the held parts and sends none of them again', async () => {
  await using server = await startPlainS3({ checksums: 'parts-only', partsPerPage: 2 });
  const state = createDurableState();
  await writeParts(await openOn(server.endpoint, createStepContext({ state })), [1, 2, 3, 5]);
  const sink = await openOn(server.endpoint, createStepContext({ state }));
  expect([...sink.held.keys()]).toEqual([1, 2, 3, 5]);
  expect(sink.held.get(3)).toMatchObject({ bytes: sink.partBytes, crc32: crc32(partOf(sink, 3)) });
  await writeParts(sink, [4]);
  await finish(sink);
  expect(server.requests.filter((one) => one.startsWith('UploadPart')).length).toBe(5);
  expect([...server.objects.values()].map((object) => object.equals(BYTES))).toEqual([true]);
});

test('a 200 with an error inside is no success', async () => {
  await using server = await startPlainS3({ checksums: 'ignored', failsLate: true });
  const sink = await openOn(server.endpoint, createStepContext());
  await writeParts(sink, [1, 2, 3, 4, 5]);
  await finish(sink);
  expect(server.requests.filter((one) => one === 'Complete')).toHaveLength(2);
  expect(server.objects.size).toBe(1);
});

test('a disk that changed its length begins again under another name', async () => {
  await using server = await startPlainS3({ checksums: 'parts-only' });
  const state = createDurableState();
  await writeParts(await openOn(server.endpoint, createStepContext({ state })), [1]);
  const shorter = { ...REQUEST, lengthBytes: BYTES.length - 1 };
  const sink = await openUploadSink(optionsFor(server.endpoint), shorter, createStepContext({ state }));
  expect(sink.held.size).toBe(0);
  const [first, second] = state.ledger;
  expect(first?.state).toBe('discarded');
  expect(second?.ref?.key).not.toBe(first?.ref?.key);
});

test('parts of an upload keep their size when the wave file names another', async () => {
  await using server = await startPlainS3({ checksums: 'parts-only' });
  const state = createDurableState();
  await writeParts(await openOn(server.endpoint, createStepContext({ state })), [1]);
  const options = { ...optionsFor(server.endpoint), partBytes: 10 * MIB };
  const sink = await openUploadSink(options, REQUEST, createStepContext({ state }));
  expect(sink.partBytes).toBe(5 * MIB);
  expect([...sink.held.keys()]).toEqual([1]);
});

function optionsFor(endpoint: string) {
  const credentials = { accessKeyId: 'AKIA', secretAccessKey: 'secret' };
  const s3 = new S3Client({ region: 'us-east-1', endpoint, credentials, forcePathStyle: true });
  return { s3, bucket: 'acme-mig', prefix: 'landfall/', partBytes: 5 * MIB };
}

function openOn(endpoint: string, context: FakeStepContext): Promise<UploadSink> {
  return openUploadSink(optionsFor(endpoint), REQUEST, context);
}

async function writeParts(sink: UploadSink, numbers: readonly number[]): Promise<void> {
  for (const number of numbers) {
    const bytes = partOf(sink, number);
    await sink.writePart({ number, bytes, crc32: crc32(bytes) }, AbortSignal.timeout(10_000));
  }
}

function finish(sink: UploadSink): Promise<Artifact> {
  const numbers = Array.from({ length: sink.partCount }, (_, index) => index + 1);
  return sink.finish(numbers.map((number) => crc32(partOf(sink, number))));
}

function partOf({ partBytes }: UploadSink, number: number): Buffer {
  return BYTES.subarray((number - 1) * partBytes, number * partBytes);
}
