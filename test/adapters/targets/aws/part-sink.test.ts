import { randomBytes } from 'node:crypto';
import { AbortMultipartUploadCommand, S3Client } from '@aws-sdk/client-s3';
import { expect, test } from 'vitest';
import { openPartSink, type PartsRequest } from '../../../../adapters/targets/aws/part-sink.ts';
import { crc32, crc32ToHex } from '../../../../src/blocks/crc32.ts';
import type { LedgerEntry, PartSink } from '../../../../src/domain/ports.ts';
import { createDurableState, createStepContext, type FakeStepContext } from '../../../fakes/step-context.ts';
import { finish, partOf, partsOf, piecesOf, uploadThrough, writePieces } from '../drive-target.ts';
import { machineWith } from '../machines.ts';
import { type PlainS3Options, startPlainS3 } from './plain-s3.ts';

const MIB = 2 ** 20;
const BYTES = randomBytes(22 * MIB);
const REQUEST: PartsRequest = {
  machine: machineWith(),
  disk: '0',
  diskBytes: BYTES.length,
  to: {},
  form: { kind: 'parts', container: 'raw' },
  contentId: 'as it was',
  maxFileBytes: BYTES.length,
};

test.each<[string, PlainS3Options, RegExp]>([
  ['refuses to hear of checksums', { checksums: 'refused' }, /keeps no CRC-32/],
  ['ignores checksums', { checksums: 'ignored' }, /keeps no CRC-32/],
  ['checks parts only', { checksums: 'parts-only' }, /no checksum of full objects/],
  ['takes no conditional writes', { checksums: 'ignored', refusesConditions: true }, /keeps no CRC-32/],
])('a server that %s gets the bytes, and the log says what is not checked', async (_, options, warning) => {
  await using server = await startPlainS3(options);
  const context = createStepContext();
  const artifact = await uploadThrough(await openOn(server.endpoint, context), BYTES);
  expect([...server.objects.values()].map((object) => object.equals(BYTES))).toEqual([true]);
  expect(messagesOf(context)).toMatch(warning);
  expect(artifact.digests).toContainEqual({
    algorithm: 'crc32',
    value: crc32ToHex(crc32(BYTES)),
    isConfirmed: false,
  });
});

test('a part that was damaged before it was sent is refused even where the server checks nothing', async () => {
  await using server = await startPlainS3({ checksums: 'ignored' });
  const sink = await openOn(server.endpoint, createStepContext());
  const bytes = partOf(sink, BYTES, 1);
  const part = { number: 1, bytes, crc32: (crc32(bytes) ^ 1) >>> 0 };
  await expect(sink.writePart(part, AbortSignal.timeout(10_000))).rejects.toMatchObject({
    code: 'target-refused',
    retryable: true,
  });
  expect(server.requests).not.toContain('UploadPart 1');
});

test('tells what is held from all pages of the list, as it was acknowledged', async () => {
  await using server = await startPlainS3({ checksums: 'parts-only', partsPerPage: 2 });
  const state = createDurableState();
  const first = await openOn(server.endpoint, createStepContext({ state }));
  const sent = new Map();
  for (const number of [1, 2, 4]) {
    const part = {
      number,
      bytes: partOf(first, BYTES, number),
      crc32: partsOf(first, BYTES)[number - 1]?.crc32 ?? 0,
    };
    sent.set(number, await first.writePart(part, AbortSignal.timeout(10_000)));
  }
  const second = await openOn(server.endpoint, createStepContext({ state }));
  expect(second.id).toBe(first.id);
  expect(second.held).toEqual(sent);
  await writePieces(second, BYTES, [3, 5]);
  await finish(second, BYTES);
  expect(server.requests.filter((one) => one.startsWith('UploadPart')).length).toBe(5);
  expect([...server.objects.values()].map((object) => object.equals(BYTES))).toEqual([true]);
});

test('parts of an earlier attempt beyond the last one do not come into the object', async () => {
  await using server = await startPlainS3({ checksums: 'parts-only' });
  const state = createDurableState();
  await writePieces(await openOn(server.endpoint, createStepContext({ state })), BYTES, [1, 2, 3, 4, 5]);
  const shorter = BYTES.subarray(0, 12 * MIB);
  const sink = await openOn(server.endpoint, createStepContext({ state }));
  expect(sink.held.size).toBe(5);
  const artifact = await uploadThrough(sink, shorter);
  expect(artifact.bytes).toBe(shorter.length);
  expect([...server.objects.values()].map((object) => object.equals(shorter))).toEqual([true]);
});

test('a 200 with an error inside is no success', async () => {
  await using server = await startPlainS3({ checksums: 'ignored', failsLate: true });
  await uploadThrough(await openOn(server.endpoint, createStepContext()), BYTES);
  expect(server.requests.filter((one) => one === 'Complete')).toHaveLength(2);
  expect(server.objects.size).toBe(1);
});

test.each([
  ['content', { contentId: 'changed' }],
  ['container', { form: { kind: 'parts', container: 'vmdk-stream-optimized' } }],
] as const)(
  'another %s begins again under another name, and the old upload is removed',
  async (_, change) => {
    await using server = await startPlainS3({ checksums: 'parts-only' });
    const state = createDurableState();
    await writePieces(await openOn(server.endpoint, createStepContext({ state })), BYTES, [1]);
    const context = createStepContext({ state });
    const sink = await openOn(server.endpoint, context, { ...REQUEST, ...change });
    expect(sink.held.size).toBe(0);
    expect(messagesOf(context)).toMatch(/it starts again/);
    const [first, second] = state.ledger;
    expect(first?.state).toBe('discarded');
    expect(second?.ref?.key).not.toBe(first?.ref?.key);
  },
);

test('an upload is cut as it was begun when the wave file names another size', async () => {
  await using server = await startPlainS3({ checksums: 'parts-only' });
  const state = createDurableState();
  await writePieces(await openOn(server.endpoint, createStepContext({ state })), BYTES, [1]);
  const options = { ...optionsFor(server.endpoint), firstPartBytes: 10 * MIB };
  const request = { ...REQUEST, maxFileBytes: 2 ** 41 };
  const sink = await openPartSink(options, request, createStepContext({ state }));
  expect(sink.partBytes(1)).toBe(5 * MIB);
  expect(sink.partBytes(10_000)).toBe(5 * MIB);
  expect([...sink.held.keys()]).toEqual([1]);
});

test('parts grow with their number where the file could be longer than 10,000 of the first', async () => {
  await using server = await startPlainS3({ checksums: 'parts-only' });
  const sink = await openOn(server.endpoint, createStepContext(), { ...REQUEST, maxFileBytes: 2 ** 40 });
  expect(sink.partBytes(1)).toBe(5 * MIB);
  expect(sink.partBytes(10_000)).toBeGreaterThan(100 * MIB);
});

test('an upload that expired starts again under a new id, and says so', async () => {
  await using server = await startPlainS3({ checksums: 'parts-only' });
  const state = createDurableState();
  const first = await openOn(server.endpoint, createStepContext({ state }));
  await writePieces(first, BYTES, [1, 2]);
  await expire(server.endpoint, state.ledger[0]);
  await expect(writePieces(first, BYTES, [3])).rejects.toMatchObject({
    code: 'target-missing',
    retryable: true,
    message: expect.stringContaining('expired or was removed'),
  });
  const context = createStepContext({ state });
  const second = await openOn(server.endpoint, context);
  expect(messagesOf(context)).toContain('The upload of web01 disk 0 had expired at S3: it starts again.');
  expect(second.id).not.toBe(first.id);
  expect(second.held.size).toBe(0);
  await uploadThrough(second, BYTES);
  expect(state.ledger.map((entry) => entry.state)).toEqual(['done']);
  expect([...server.objects.values()].map((object) => object.equals(BYTES))).toEqual([true]);
});

test('a Complete of which nobody heard the answer is found by its object', async () => {
  await using server = await startPlainS3({ checksums: 'ignored' });
  const state = createDurableState();
  const dying = createStepContext({
    state,
    onLedger: (write) => {
      if (write.state === 'done') throw new Error('killed');
    },
  });
  const sink = await openOn(server.endpoint, dying);
  await expect(uploadThrough(sink, BYTES)).rejects.toThrow('killed');
  const found = await openOn(server.endpoint, createStepContext({ state }));
  expect(found.finished).toMatchObject({ bytes: BYTES.length, container: 'raw' });
  expect(found.id).toBe(sink.id);
  expect(state.ledger.map((entry) => entry.state)).toEqual(['done']);
});

test('an object that was removed after it was finished is sent again under another name', async () => {
  await using server = await startPlainS3({ checksums: 'ignored' });
  const state = createDurableState();
  await uploadThrough(await openOn(server.endpoint, createStepContext({ state })), BYTES);
  server.objects.clear();
  const sink = await openOn(server.endpoint, createStepContext({ state }));
  expect(sink.finished).toBeNull();
  expect(state.ledger.map((entry) => entry.state)).toEqual(['discarded', 'intended']);
});

test.each<PlainS3Options['checksums']>(['parts-only', 'ignored'])(
  'what a zombie had on the wire cannot come into the object (checksums %s)',
  async (checksums) => {
    await using server = await startPlainS3({ checksums });
    const state = createDurableState();
    const zombie = await openOn(server.endpoint, createStepContext({ state }));
    const successor = await openOn(server.endpoint, createStepContext({ state }));
    await writePieces(successor, BYTES, piecesOf(successor, BYTES));
    // It left the zombie before its lease was gone, and arrives now: another cut of the same disk.
    const late = randomBytes(partOf(zombie, BYTES, 2).length);
    await zombie.writePart({ number: 2, bytes: late, crc32: crc32(late) }, AbortSignal.timeout(10_000));
    await expect(finish(successor, BYTES)).rejects.toMatchObject({
      retryable: true,
      message: expect.stringMatching(/^Part 2 of .* was overwritten after it was acknowledged/),
    });
    expect(server.requests).not.toContain('Complete');
    const next = await openOn(server.endpoint, createStepContext({ state }));
    expect(next.held.get(2)?.etag).not.toBe(partsOf(next, BYTES)[1]?.etag);
    await writePieces(next, BYTES, [2]);
    await finish(next, BYTES);
    expect([...server.objects.values()].map((object) => object.equals(BYTES))).toEqual([true]);
  },
);

function optionsFor(endpoint: string) {
  return { s3: clientFor(endpoint), bucket: 'acme-mig', prefix: 'landfall/', firstPartBytes: 5 * MIB };
}

function clientFor(endpoint: string): S3Client {
  const credentials = { accessKeyId: 'AKIA', secretAccessKey: 'secret' };
  return new S3Client({ region: 'us-east-1', endpoint, credentials, forcePathStyle: true });
}

function openOn(
  endpoint: string,
  context: FakeStepContext,
  request: PartsRequest = REQUEST,
): Promise<PartSink> {
  return openPartSink(optionsFor(endpoint), request, context);
}

/** As a lifecycle rule does it. */
async function expire(endpoint: string, entry: LedgerEntry | undefined): Promise<void> {
  const { bucket, key, uploadId } = entry?.ref ?? {};
  const input = { Bucket: String(bucket), Key: String(key), UploadId: String(uploadId) };
  await clientFor(endpoint).send(new AbortMultipartUploadCommand(input));
}

function messagesOf(context: FakeStepContext): string {
  return context.logs.map(({ message }) => message).join('\n');
}
