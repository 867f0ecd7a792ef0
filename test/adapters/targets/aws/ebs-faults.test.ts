import { hostname } from 'node:os';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Aws } from '../../../../adapters/targets/aws/clients.ts';
import { openBlockSink } from '../../../../adapters/targets/aws/ebs-sink.ts';
import type { BlockSink } from '../../../../src/domain/ports.ts';
import { createDurableState, createStepContext, type FakeStepContext } from '../../../fakes/step-context.ts';
import { BLOCKS, dropAnswers, expectIdentical, finish, onlySnapshot, requestOf, write } from './ebs-disk.ts';
import { awsAt, type PlainEbs, startPlainEbs } from './plain-ebs.ts';

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
    expectIdentical(ebs);
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
        `Grant ebs:PutSnapshotBlock on ${arn} to the identity of Landfall on ${hostname()} (\`aws sts get-caller-identity\` there).`,
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
    expect(onlySnapshot(ebs).state).toBe('completed');
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

function open(context: FakeStepContext): Promise<BlockSink> {
  return openBlockSink(aws, requestOf(), context);
}
