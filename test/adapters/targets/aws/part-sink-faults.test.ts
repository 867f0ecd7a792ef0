/** An upload while one request in twenty fails, in the ways in which S3 and networks fail. */
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { GetObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { expect, test } from 'vitest';
import { openPartSink, type PartsRequest } from '../../../../adapters/targets/aws/part-sink.ts';
import { crc32 } from '../../../../src/blocks/crc32.ts';
import type { HeldPart, PartSink } from '../../../../src/domain/ports.ts';
import type { Fault, Faults } from '../../../../src/sandbox/faults.ts';
import { DEMO_BUCKET, seedDemo } from '../../../../src/sandbox/seed.ts';
import { startSandbox } from '../../../../src/sandbox/server.ts';
import { createStepContext } from '../../../fakes/step-context.ts';
import { machineWith } from '../machines.ts';

const MIB = 2 ** 20;
/** As many as let each failure happen. */
const PART_COUNT = 60;
const PARTS_AT_ONCE = 4;
const RANDOM = randomBytes(7 * MIB);
const REGION = 'eu-central-1';
const REQUEST: PartsRequest = {
  machine: machineWith(),
  disk: '0',
  diskBytes: PART_COUNT * 6 * MIB,
  to: {},
  form: { kind: 'parts', container: 'raw' },
  contentId: 'as it was',
  maxFileBytes: PART_COUNT * 6 * MIB,
};

const FAILURES: readonly Omit<Fault, 'service'>[] = [
  { error: { status: 500, code: 'InternalError' } },
  { dropAfterBytes: MIB },
  { error: { status: 503, code: 'SlowDown' } },
  { dropAnswer: true },
];

test('an upload of which one request in twenty fails is identical in the end', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'landfall-faults-'));
  const { faults, met, begin } = createFrequentFaults();
  const sandbox = await startSandbox({ folder, region: REGION, acceleration: 'tcg', faults });
  const { url: endpoint, credentials } = sandbox;
  const s3 = new S3Client({ region: REGION, endpoint, credentials, forcePathStyle: true, maxAttempts: 5 });
  try {
    await seedDemo(sandbox);
    const options = { s3, bucket: DEMO_BUCKET, prefix: 'landfall/', firstPartBytes: 5 * MIB };
    begin();
    const sink = await openPartSink(options, REQUEST, createStepContext());
    const { ref, digests } = await sink.finish(await writeAll(sink));
    expect(met.size).toBe(FAILURES.length);
    expect(digests).toMatchObject([{ algorithm: 'crc32', isConfirmed: true }]);
    const { Body } = await s3.send(
      new GetObjectCommand({ Bucket: String(ref.bucket), Key: String(ref.key) }),
    );
    expect(await digestOf(Body as Readable)).toBe(digestOfParts());
  } finally {
    s3.destroy();
    await sandbox.stop();
    await rm(folder, { recursive: true, force: true });
  }
}, 60_000);

async function writeAll(sink: PartSink): Promise<(HeldPart & { crc32: number })[]> {
  const numbers = Array.from({ length: PART_COUNT }, (_, index) => index + 1);
  const sent: (HeldPart & { crc32: number })[] = [];
  const send = async (): Promise<void> => {
    for (let number = numbers.shift(); number !== undefined; number = numbers.shift()) {
      const part = { number, bytes: partOf(number), crc32: crc32(partOf(number)) };
      sent[number - 1] = { ...(await sink.writePart(part, AbortSignal.timeout(30_000))), crc32: part.crc32 };
    }
  };
  await Promise.all(Array.from({ length: PARTS_AT_ONCE }, send));
  return sent;
}

/** Each of another content and length. */
function partOf(number: number): Buffer {
  return RANDOM.subarray(number * 4096, 5 * MIB + number * 8192);
}

function digestOfParts(): string {
  const hash = createHash('sha256');
  for (let number = 1; number <= PART_COUNT; number += 1) hash.update(partOf(number));
  return hash.digest('hex');
}

async function digestOf(stream: Readable): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of stream) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

/** From `begin` on every twentieth request to S3 fails, in each way in turn. */
function createFrequentFaults(): {
  faults: Faults;
  met: ReadonlySet<Omit<Fault, 'service'>>;
  begin(): void;
} {
  const met = new Set<Omit<Fault, 'service'>>();
  let requests = Number.NaN;
  const faults: Faults = {
    add: () => {},
    clear: () => {},
    take({ service }) {
      if (service !== 's3') return null;
      const failure = FAILURES[(requests / 20) % FAILURES.length];
      requests += 1;
      if (failure === undefined) return null;
      met.add(failure);
      return { service, ...failure };
    },
  };
  const begin = (): void => {
    requests = 0;
  };
  return { faults, met, begin };
}
