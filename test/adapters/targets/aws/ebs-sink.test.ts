import { hash } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Aws } from '../../../../adapters/targets/aws/clients.ts';
import { discardEntry } from '../../../../adapters/targets/aws/discard.ts';
import { openBlockSink } from '../../../../adapters/targets/aws/ebs-sink.ts';
import type { BlockSink } from '../../../../src/domain/ports.ts';
import {
  createDurableState,
  createManualClock,
  createStepContext,
  type FakeStepContext,
} from '../../../fakes/step-context.ts';
import {
  BLOCKS,
  expectIdentical,
  finish,
  onlySnapshot,
  requestOf,
  soon,
  uploadAll,
  write,
} from './ebs-disk.ts';
import {
  awsAt,
  BLOCK_BYTES,
  type HeldSnapshot,
  linearOf,
  type PlainEbs,
  startPlainEbs,
} from './plain-ebs.ts';

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
    expect(onlySnapshot(ebs)).toMatchObject({ state: 'completed', volumeGib: 2 });
    expect(onlySnapshot(ebs).request).toMatchObject({
      Timeout: 4320,
      ClientToken: context.state.ledger[0]?.token,
    });
    expect(onlySnapshot(ebs).tags).toMatchObject({ 'landfall:run': 'run-1', 'landfall:machine': 'web01' });
    expectIdentical(ebs);
    expect(artifact).toEqual({
      disk: '0',
      kind: 'ebs-snapshot',
      container: null,
      bytes: BLOCKS.size * BLOCK_BYTES,
      ref: { snapshotId: onlySnapshot(ebs).id },
      digests: [{ algorithm: 'sha256-linear', value: linearOf(BLOCKS).toString('hex'), isConfirmed: true }],
    });
    expect(context.state.ledger).toMatchObject([{ thing: 'snapshot:0', state: 'done' }]);
  });

  test('of zeros is a snapshot without blocks', async () => {
    const sink = await open(createStepContext());
    const artifact = await sink.finish({ blockCount: 0, linearSha256: linearOf(new Map()) });
    expect(artifact).toMatchObject({ bytes: 0, digests: [] });
    expect(onlySnapshot(ebs)).toMatchObject({ state: 'completed' });
  });

  test('is hashed once: the signed checksum speaks for the payload', async () => {
    await write(await open(createStepContext()), 0);
    const headers = ebs.headers.at(-1);
    expect(headers?.['x-amz-content-sha256']).toBe('UNSIGNED-PAYLOAD');
    expect(headers?.authorization).toContain(';x-amz-checksum;');
    expect(headers?.['content-length']).toBe(String(BLOCK_BYTES));
    expect(headers?.['user-agent']).toBe('landfall');
  });

  test('goes nowhere where blocks have another size, and that is said', async () => {
    ebs.toldBlockBytes = 512;
    await expect(open(createStepContext())).rejects.toMatchObject({
      code: 'target-refused',
      message: expect.stringContaining('blocks of 512 bytes instead of 524288'),
    });
  });

  test('is encrypted with the key of the wave', async () => {
    const kmsKey = 'arn:aws:kms:eu-central-1:111122223333:key/1234';
    aws = awsAt(ebs.endpoint, { kmsKey });
    await open(createStepContext());
    expect(onlySnapshot(ebs).request).toMatchObject({ Encrypted: true, KmsKeyArn: kmsKey });
  });

  test('of a later pass names its parent, and no key', async () => {
    aws = awsAt(ebs.endpoint, { kmsKey: 'arn:aws:kms:eu-central-1:111122223333:key/1234' });
    const previous = await uploadAll(await open(createStepContext()));
    const parent = onlySnapshot(ebs);
    const pass = { number: 1, isLast: true, previous };
    const context = createStepContext({ state: createDurableState() });
    const sink = await openBlockSink(aws, { ...requestOf(), pass }, context);
    expect(context.state.ledger).toMatchObject([{ thing: 'snapshot:0@1' }]);
    // A block that became zero shines through from the parent unless it is written.
    const bytes = Buffer.alloc(BLOCK_BYTES);
    await sink.writeBlock({ index: 5, bytes, sha256: hash('sha256', bytes, 'buffer') }, soon());
    const snapshot = [...ebs.snapshots.values()].find(({ id }) => id !== parent.id);
    expect(snapshot?.request).toMatchObject({ ParentSnapshotId: parent.id });
    expect(snapshot?.request).not.toHaveProperty('Encrypted');
    expect(snapshot?.blocks.has(5)).toBe(true);
  });

  test.each([
    ['pending', 'target-unavailable'],
    ['error', 'target-missing'],
  ] as const)('of a later pass does not start from a parent that is %s', async (parentState, code) => {
    const previous = await uploadAll(await open(createStepContext()));
    onlySnapshot(ebs).state = parentState;
    const pass = { number: 1, isLast: true, previous };
    await expect(openBlockSink(aws, { ...requestOf(), pass }, createStepContext())).rejects.toMatchObject({
      code,
    });
    expect(ebs.snapshots.size).toBe(1);
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
    expectIdentical(ebs);
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
    lose(onlySnapshot(ebs));
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
    expectIdentical(ebs);
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

function open(context: FakeStepContext): Promise<BlockSink> {
  return openBlockSink(aws, requestOf(), context);
}

function fail(): never {
  throw new Error('killed');
}
