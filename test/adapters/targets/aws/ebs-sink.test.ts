import { hash, randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Aws } from '../../../../adapters/targets/aws/clients.ts';
import { discardEntry } from '../../../../adapters/targets/aws/discard.ts';
import { openBlockSink } from '../../../../adapters/targets/aws/ebs-sink.ts';
import type { JsonObject } from '../../../../src/domain/json.ts';
import type { Artifact } from '../../../../src/domain/landing.ts';
import type { BlockSink, UploadRequest } from '../../../../src/domain/ports.ts';
import {
  createDurableState,
  createManualClock,
  createStepContext,
  type FakeStepContext,
} from '../../../fakes/step-context.ts';
import { machineWith } from '../machines.ts';
import {
  awsAt,
  BLOCK_BYTES,
  contentOf,
  type HeldSnapshot,
  linearOf,
  type PlainEbs,
  startPlainEbs,
} from './plain-ebs.ts';

const GIB = 2 ** 30;
/** 40 blocks in a disk of 1 GiB and a bit: the last one is shorter than a block at the source. */
const DISK_BYTES = GIB + 1000;
const BLOCKS = new Map(
  [...Array(39).keys(), 2048].map((index) => [index * (index === 2048 ? 1 : 3), padded(index)] as const),
);

let ebs: PlainEbs;
let aws: Aws;

beforeEach(async () => {
  ebs = await startPlainEbs();
  aws = awsAt(ebs.endpoint);
});
afterEach(async () => {
  aws.ebs.destroy();
  aws.ec2.destroy();
  await ebs[Symbol.asyncDispose]();
});

describe('a disk', () => {
  test('is written block by block into a snapshot of whole GiB, and completed with the digest of all', async () => {
    const context = createStepContext();
    const artifact = await uploadAll(await open(context));
    expect(snapshot()).toMatchObject({ state: 'completed', volumeGib: 2 });
    expect(snapshot().request).toMatchObject({ Timeout: 4320, ClientToken: context.state.ledger[0]?.token });
    expect(snapshot().tags).toMatchObject({ 'landfall:run': 'run-1', 'landfall:machine': 'web01' });
    expectIdentical();
    expect(artifact).toEqual({
      disk: '0',
      kind: 'ebs-snapshot',
      container: null,
      bytes: BLOCKS.size * BLOCK_BYTES,
      ref: { snapshotId: snapshot().id },
      digests: [{ algorithm: 'sha256-linear', value: linearOf(BLOCKS).toString('hex'), isConfirmed: true }],
    });
    expect(context.state.ledger).toMatchObject([{ thing: 'snapshot:0', state: 'done' }]);
  });

  test('of zeros is a snapshot without blocks', async () => {
    const sink = await open(createStepContext());
    const artifact = await sink.finish({ blockCount: 0, linearSha256: linearOf(new Map()) });
    expect(artifact).toMatchObject({ bytes: 0, digests: [] });
    expect(snapshot()).toMatchObject({ state: 'completed' });
  });

  test('is hashed once: the signed checksum speaks for the payload', async () => {
    await write(await open(createStepContext()), 0);
    const headers = ebs.headers.at(-1);
    expect(headers?.['x-amz-content-sha256']).toBe('UNSIGNED-PAYLOAD');
    expect(headers?.authorization).toContain(';x-amz-checksum;');
    expect(headers?.['content-length']).toBe(String(BLOCK_BYTES));
    expect(headers?.['user-agent']).toBe('landfall');
  });

  test('is encrypted with the key of the wave', async () => {
    const kmsKey = 'arn:aws:kms:eu-central-1:111122223333:key/1234';
    aws = awsAt(ebs.endpoint, { kmsKey });
    await open(createStepContext());
    expect(snapshot().request).toMatchObject({ Encrypted: true, KmsKeyArn: kmsKey });
  });

  test('of a later pass names its parent, and no key', async () => {
    aws = awsAt(ebs.endpoint, { kmsKey: 'arn:aws:kms:eu-central-1:111122223333:key/1234' });
    const sink = await openBlockSink(aws, requestOf(), createStepContext(), {
      parentSnapshotId: 'snap-00000000000000009',
    });
    // A block that became zero shines through from the parent unless it is written.
    const bytes = Buffer.alloc(BLOCK_BYTES);
    await sink.writeBlock({ index: 5, bytes, sha256: hash('sha256', bytes, 'buffer') }, soon());
    expect(snapshot().request).toMatchObject({ ParentSnapshotId: 'snap-00000000000000009' });
    expect(snapshot().request).not.toHaveProperty('Encrypted');
    expect(snapshot().blocks.has(5)).toBe(true);
  });
});

describe('an upload that is opened again', () => {
  test('goes on in the same snapshot', async () => {
    const state = createDurableState();
    const first = await open(createStepContext({ state }));
    const half = [...BLOCKS.keys()].slice(0, 20);
    await Promise.all(half.map((index) => write(first, index)));
    const sink = await open(createStepContext({ state }));
    expect(sink).toMatchObject({ id: first.id, finished: null });
    await Promise.all([...BLOCKS.keys()].slice(20).map((index) => write(sink, index)));
    await finish(sink);
    expectIdentical();
    expect(ebs.requests.filter((name) => name.startsWith('PutSnapshotBlock'))).toHaveLength(BLOCKS.size);
  });

  test.each(['StartSnapshot', 'the note of its id'])(
    'finds its snapshot after a death at %s',
    async (death) => {
      const state = createDurableState();
      const killed = new AbortController();
      if (death === 'StartSnapshot') {
        ebs.fault = () => {
          setTimeout(() => killed.abort(), 50);
          return 'drop-answer';
        };
      }
      const dies = createStepContext({
        state,
        signal: killed.signal,
        onLedger: () => void (death !== 'StartSnapshot' && ebs.snapshots.size > 0 && fail()),
      });
      await expect(open(dies)).rejects.toThrow();
      expect(ebs.snapshots.size).toBe(1);
      ebs.fault = () => null;
      await open(createStepContext({ state }));
      expect(ebs.snapshots.size).toBe(1);
    },
  );

  test('is finished where it was finished, and where only AWS knows of it', async () => {
    const state = createDurableState();
    const artifact = await uploadAll(await open(createStepContext({ state })));
    expect((await open(createStepContext({ state }))).finished).toEqual(artifact);
    Object.assign(state.ledger[0] as object, { state: 'intended' });
    const again = await open(createStepContext({ state }));
    expect(again.finished).toEqual(artifact);
    expect(await again.finish({ blockCount: 0, linearSha256: Buffer.alloc(32) })).toEqual(artifact);
    expect(state.ledger).toMatchObject([{ state: 'done' }]);
  });

  test.each<[string, (held: HeldSnapshot) => void]>([
    ['whose idle time ran out', (held) => Object.assign(held, { state: 'error' })],
    ['that was deleted', ({ id }) => void ebs.snapshots.delete(id)],
  ])('on a snapshot %s begins anew, and says so', async (_, lose) => {
    const clock = createManualClock();
    const state = createDurableState();
    const first = await open(createStepContext({ state, clock }));
    await write(first, 0);
    lose(snapshot());
    const failure = await write(first, 3).catch((error: unknown) => error);
    expect(failure).toMatchObject({ retryable: true, message: expect.stringContaining(first.id) });
    clock.advance(120_000);
    const context = createStepContext({ state, clock });
    const sink = await open(context);
    expect([...ebs.snapshots.keys()]).toEqual([sink.id]);
    expect(sink.id).not.toBe(first.id);
    expect(context.logs.map(({ message }) => message).join()).toContain('expired at AWS');
    expect(state.ledger.map((entry) => entry.state)).toEqual(['failed', 'intended']);
    await uploadAll(sink);
    expectIdentical();
  });

  test('with another content begins anew, and removes what was begun', async () => {
    const state = createDurableState();
    const first = await open(createStepContext({ state }));
    const context = createStepContext({ state });
    const sink = await openBlockSink(aws, requestOf({ contentId: 'content-2' }), context);
    expect([...ebs.snapshots.keys()]).toEqual([sink.id]);
    expect(ebs.requests).toContain('DeleteSnapshot');
    expect(state.ledger.map((entry) => entry.state)).toEqual(['discarded', 'intended']);
    expect(context.logs.map(({ message }) => message).join()).toContain('changed since its upload began');
    expect(first.kind).toBe('blocks');
  });

  test('after the wave was edited goes on in the snapshot that its token started', async () => {
    const state = createDurableState();
    await expect(
      open(createStepContext({ state, onLedger: () => void (ebs.snapshots.size > 0 && fail()) })),
    ).rejects.toThrow('killed');
    aws = awsAt(ebs.endpoint, { kmsKey: 'arn:aws:kms:eu-central-1:111122223333:key/1234' });
    await open(createStepContext({ state }));
    expect(ebs.snapshots.size).toBe(1);
  });
});

describe('faults', () => {
  test('at 5 % of the requests of all kinds change nothing of what arrives', async () => {
    let count = 0;
    const faults = [
      { status: 400, type: 'RequestThrottledException' },
      { status: 500, type: 'InternalServerException' },
      'drop',
      { status: 400, type: 'ValidationException', message: 'Failed to read block data' },
      'drop-answer',
      { status: 503, type: 'ServiceUnavailable' },
    ] as const;
    ebs.fault = () => {
      count += 1;
      return count % 20 === 3 ? (faults[Math.floor(count / 20) % faults.length] ?? null) : null;
    };
    const sink = await open(createStepContext());
    for (let round = 0; round < 4; round += 1)
      await Promise.all([...BLOCKS.keys()].map((index) => write(sink, index)));
    await finish(sink);
    expect(count).toBeGreaterThan(160);
    expectIdentical();
  }, 30_000);

  test('of every connection at once are survived: no budget of retries is used up', async () => {
    const sink = await open(createStepContext());
    const met = new Set<string>();
    let drops = 0;
    ebs.fault = (name) => {
      if (met.size >= 64 || met.has(name)) return null;
      met.add(name);
      drops += 1;
      return 'drop';
    };
    await Promise.all([...BLOCKS.keys()].flatMap((index) => [write(sink, index), write(sink, index)]));
    expect(drops).toBe(BLOCKS.size);
  });

  test('that throttle lower the number of blocks under way', async () => {
    const sink = await open(createStepContext());
    ebs.delayMs = 20;
    await Promise.all([...BLOCKS.keys()].flatMap((index) => [write(sink, index), write(sink, index)]));
    const before = aws.blockLimits.writes.limit();
    expect(before).toBeGreaterThan(16);
    let throttles = 3;
    ebs.fault = () => (throttles-- > 0 ? { status: 400, type: 'ThrottlingException' } : null);
    await Promise.all([...BLOCKS.keys()].slice(0, 3).map((index) => write(sink, index)));
    expect(aws.blockLimits.writes.limit()).toBeLessThan(before);
  });

  test.each(['AccessDeniedException', 'ServiceQuotaExceededException', 'ConflictException'])(
    'that stay, such as %s, are told at once',
    async (type) => {
      const sink = await open(createStepContext());
      ebs.fault = () => ({ status: type === 'ConflictException' ? 503 : 400, type });
      const before = ebs.requests.length;
      await expect(write(sink, 0)).rejects.toMatchObject({ context: { awsCode: type } });
      expect(ebs.requests.length).toBe(before + 1);
    },
  );

  test('of rights name action, snapshot and remedy', async () => {
    const sink = await open(createStepContext());
    ebs.fault = () => ({ status: 403, type: 'AccessDeniedException', message: 'not authorized' });
    const failure = await write(sink, 3).catch((error: unknown) => error);
    const arn = `arn:aws:ec2:eu-central-1::snapshot/${sink.id}`;
    expect(failure).toMatchObject({
      code: 'target-denied',
      retryable: false,
      message:
        `Writing block 3 (at byte 1572864) of web01 disk 0 (ebs:PutSnapshotBlock on ${arn}) failed: AccessDeniedException: not authorized. ` +
        `Grant ebs:PutSnapshotBlock on ${arn} to the identity of this worker.`,
    });
  });

  test('of the key name the key', async () => {
    aws = awsAt(ebs.endpoint, { kmsKey: 'arn:aws:kms:eu-central-1:111122223333:key/1234' });
    const denial = { status: 403, type: 'AccessDeniedException', reason: 'DEPENDENCY_ACCESS_DENIED' };
    ebs.fault = () => denial;
    await expect(open(createStepContext())).rejects.toMatchObject({
      code: 'target-denied',
      message: expect.stringMatching(/key\/1234 that may not be used/),
    });
  });

  test('of an answer: the snapshot is completed once', async () => {
    const sink = await open(createStepContext());
    await Promise.all([...BLOCKS.keys()].map((index) => write(sink, index)));
    ebs.fault = dropAnswers('CompleteSnapshot', 1);
    await expect(finish(sink)).resolves.toMatchObject({ ref: { snapshotId: sink.id } });
    expect(snapshot().state).toBe('completed');
  });

  test('of content: a snapshot that does not hold what was sent is removed and begun anew', async () => {
    const state = createDurableState();
    const sink = await open(createStepContext({ state }));
    await Promise.all([...BLOCKS.keys()].slice(1).map((index) => write(sink, index)));
    await expect(finish(sink)).rejects.toMatchObject({ code: 'target-refused', retryable: true });
    expect(ebs.snapshots.size).toBe(0);
    expect(state.ledger.map((entry) => entry.state)).toEqual(['failed']);
  });
});

describe('an attempt whose lease is gone', () => {
  test('sends no block', async () => {
    const controller = new AbortController();
    const sink = await open(createStepContext({ signal: controller.signal }));
    controller.abort(new Error('the lease is gone'));
    const before = ebs.requests.length;
    await expect(write(sink, 0)).rejects.toMatchObject({ code: 'cancelled' });
    expect(ebs.requests.length).toBe(before);
  });

  test('is not tried again', async () => {
    const controller = new AbortController();
    const sink = await open(createStepContext({ signal: controller.signal }));
    ebs.fault = () => {
      controller.abort(new Error('the lease is gone'));
      return { status: 500, type: 'InternalServerException' };
    };
    const before = ebs.requests.length;
    await expect(write(sink, 0)).rejects.toMatchObject({ code: 'cancelled' });
    expect(ebs.requests.length).toBe(before + 1);
  });

  test('completes nothing', async () => {
    const context = createStepContext();
    const sink = await open(context);
    context.loseLease();
    await expect(finish(sink)).rejects.toMatchObject({ code: 'lease-lost' });
    expect(ebs.requests).not.toContain('CompleteSnapshot');
  });
});

describe('discard', () => {
  test.each(['under way', 'completed'])(
    'removes a snapshot %s, whether or not its id was noted',
    async (how) => {
      for (const isNoted of [true, false]) {
        const context = createStepContext({ run: `run-${isNoted}` });
        const sink = await open(context);
        if (how === 'completed') await uploadAll(sink);
        const entry = context.state.ledger[0];
        if (entry === undefined) throw new Error('nothing in the ledger');
        await discardEntry(aws, isNoted ? entry : { ...entry, ref: null }, context);
        expect(ebs.snapshots.size).toBe(0);
        expect(context.state.ledger).toMatchObject([{ state: 'discarded' }]);
        await discardEntry(aws, entry, context);
      }
    },
  );
});

function requestOf(changes: Partial<UploadRequest> = {}): UploadRequest {
  const to: JsonObject = {};
  return {
    machine: machineWith(),
    disk: '0',
    diskBytes: DISK_BYTES,
    to,
    form: { kind: 'blocks', blockBytes: BLOCK_BYTES },
    contentId: 'content-1',
    maxFileBytes: DISK_BYTES,
    ...changes,
  };
}

function open(context: FakeStepContext): Promise<BlockSink> {
  return openBlockSink(aws, requestOf(), context);
}

function write(sink: BlockSink, index: number): Promise<void> {
  const bytes = BLOCKS.get(index) as Buffer;
  return sink.writeBlock({ index, bytes, sha256: hash('sha256', bytes, 'buffer') }, soon());
}

async function uploadAll(sink: BlockSink): Promise<Artifact> {
  await Promise.all([...BLOCKS.keys()].map((index) => write(sink, index)));
  return finish(sink);
}

function finish(sink: BlockSink): Promise<Artifact> {
  return sink.finish({ blockCount: BLOCKS.size, linearSha256: linearOf(BLOCKS) });
}

function snapshot(): HeldSnapshot {
  const [held] = ebs.snapshots.values();
  if (held === undefined) throw new Error('there is no snapshot');
  return held;
}

function expectIdentical(): void {
  const held = snapshot();
  expect(held.state).toBe('completed');
  const expected = { ...held, blocks: BLOCKS };
  expect(contentOf(held, DISK_BYTES).equals(contentOf(expected, DISK_BYTES))).toBe(true);
}

function dropAnswers(name: string, times: number): PlainEbs['fault'] {
  let left = times;
  return (asked) => (asked === name && left-- > 0 ? 'drop-answer' : null);
}

function fail(): never {
  throw new Error('killed');
}

function soon(): AbortSignal {
  return AbortSignal.timeout(30_000);
}

/** The last block holds the 1000 bytes that are left of the disk. */
function padded(index: number): Buffer {
  const bytes = randomBytes(BLOCK_BYTES);
  return index === 2048 ? bytes.fill(0, 1000) : bytes;
}
