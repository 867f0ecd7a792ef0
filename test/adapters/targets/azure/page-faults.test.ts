import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { openPageSink } from '../../../../adapters/targets/azure/page-sink.ts';
import { createStepContext } from '../../../fakes/step-context.ts';
import { FAST, GROUP } from '../../../sandbox/azure/fixture.ts';
import {
  BLOCKS,
  clearGround,
  finish,
  openSink,
  openUploadGround,
  requestOf,
  soon,
  type UploadGround,
  write,
  writeAll,
} from './upload-ground.ts';

const ALL = [...BLOCKS.keys()];
const HOUR_MS = 3_600_000;

let ground: UploadGround;
/** How far the sandbox's clock is ahead. */
let aheadMs = 0;

beforeAll(async () => {
  ground = await openUploadGround({ now: () => Date.now() + aheadMs });
});

afterAll(async () => {
  await ground[Symbol.asyncDispose]();
});

beforeEach(async () => {
  aheadMs = 0;
  await clearGround(ground);
});

describe('a signature', () => {
  const grants = (): number => ground.fixture.sandbox.requests.received('arm', 'Disks_GrantAccess');

  test('that expires in mid-transfer is renewed once, by whoever meets it first', async () => {
    const sink = await openSink(ground);
    await writeAll(sink, ALL.slice(0, 5));
    aheadMs = 5 * HOUR_MS;
    await writeAll(sink, ALL.slice(5));
    expect(grants()).toBe(2);
    await finish(sink);
    await ground.expectIdentical();
  });

  test('that somebody revokes in mid-transfer is renewed once', async () => {
    const sink = await openSink(ground);
    await writeAll(sink, ALL.slice(0, 5));
    const [disk] = await ground.disks();
    // Azure finds no footer, and the upload goes on.
    const revoke = ground.fixture.compute.disks.revokeAccess(GROUP, String(disk?.name), FAST);
    await expect(revoke).rejects.toThrow('InvalidVhd');
    await writeAll(sink, ALL.slice(5));
    expect(grants()).toBe(2);
    await finish(sink);
    await ground.expectIdentical();
  });

  test('is renewed before it expires', async () => {
    const request = requestOf();
    const sink = await openPageSink(ground.azure, request, createStepContext(), { accessSeconds: 1 });
    await write(sink, 0);
    await expect.poll(async () => write(sink, 1).then(grants), { timeout: 5_000, interval: 50 }).toBe(2);
  });

  test('that is refused although it is new ends the upload, with what to look at', async () => {
    const sink = await openSink(ground);
    await write(sink, 0);
    const error = { status: 403, code: 'AuthorizationFailure' };
    ground.fixture.sandbox.faults.add({ service: 'blob', action: 'PutPage', error, times: 100 });
    await expect(write(sink, 1)).rejects.toMatchObject({
      code: 'target-denied',
      retryable: false,
      message: expect.stringMatching(
        /Writing block 1 \(at byte 524288\) of web01 disk 0 .*AuthorizationFailure.*networkAccessPolicy/,
      ),
    });
    expect(grants()).toBe(2);
  });
});

describe('pages', () => {
  const faulty = (status: number, code: string, more: object = {}): void =>
    ground.fixture.sandbox.faults.add({
      service: 'blob',
      action: 'PutPage',
      error: { status, code, ...more },
      times: 3,
    });

  test('that are throttled are sent again, not before Retry-After', async () => {
    const sink = await openSink(ground);
    faulty(429, 'TooManyRequests', { retryAfterSeconds: 1 });
    const began = performance.now();
    await writeAll(sink);
    expect(performance.now() - began).toBeGreaterThanOrEqual(950);
    await finish(sink);
    await ground.expectIdentical();
  });

  test.each([
    [503, 'ServerBusy'],
    [500, 'InternalError'],
    [400, 'Crc64Mismatch'],
  ])('that are answered %i %s are sent again', async (status, code) => {
    const sink = await openSink(ground);
    faulty(status, code);
    await writeAll(sink);
    await finish(sink);
    await ground.expectIdentical();
  });

  test('whose connections and answers are lost are sent again', async () => {
    const sink = await openSink(ground);
    const { faults } = ground.fixture.sandbox;
    faults.add({ service: 'blob', action: 'PutPage', dropAnswer: true, times: 2 });
    faults.add({ service: 'blob', action: 'PutPage', dropAfterBytes: 1000, times: 2 });
    await writeAll(sink);
    await finish(sink);
    await ground.expectIdentical();
  });

  test('that Azure refuses for good are not sent again', async () => {
    const sink = await openSink(ground);
    await write(sink, 0);
    ground.fixture.sandbox.requests.clear();
    faulty(409, 'BlobImmutableDueToPolicy');
    await expect(write(sink, 1)).rejects.toMatchObject({ code: 'target-refused', retryable: false });
    expect(ground.fixture.sandbox.requests.received('blob', 'PutPage')).toBe(1);
  });
});

describe('Resource Manager', () => {
  const refuse = (action: string, error: { status: number; code: string; message?: string }): void =>
    ground.fixture.sandbox.faults.add({ service: 'arm', action, error, times: 100 });

  test('that denies an action is told with the action', async () => {
    ground.fixture.sandbox.rights.deny('Microsoft.Compute/disks/beginGetAccess/action');
    const sink = await openSink(ground);
    await expect(write(sink, 0)).rejects.toMatchObject({
      code: 'target-denied',
      message: expect.stringMatching(
        /Grant Microsoft\.Compute\/disks\/beginGetAccess\/action on disk .* docs\/azure\.md/,
      ),
    });
  });

  test('that knows no such resource group is told with the option', async () => {
    const options = { ...ground.azure.options, resourceGroup: 'no-such-group' };
    await expect(openSink({ azure: { ...ground.azure, options } })).rejects.toMatchObject({
      code: 'target-missing',
      message: expect.stringMatching(/correct `resourceGroup`/),
    });
  });

  test('that is busy with the same disk, or out of quota, is asked again by a later try', async () => {
    refuse('Disks_CreateOrUpdate', { status: 409, code: 'AnotherOperationInProgress' });
    await expect(openSink(ground)).rejects.toMatchObject({ code: 'target-unavailable', retryable: true });
    ground.fixture.sandbox.faults.clear();
    const message = 'Operation could not be completed as it results in exceeding approved Disks quota.';
    refuse('Disks_CreateOrUpdate', { status: 409, code: 'OperationNotAllowed', message });
    await expect(openSink(ground)).rejects.toMatchObject({ code: 'target-limit', retryable: true });
  });

  test('that throttles, and is away for a moment, is asked again by the SDK', async () => {
    const { faults } = ground.fixture.sandbox;
    faults.add({
      service: 'arm',
      action: 'Disks_Get',
      error: { status: 429, code: 'TooManyRequests', retryAfterSeconds: 1 },
    });
    faults.add({
      service: 'arm',
      action: 'Disks_CreateOrUpdate',
      error: { status: 503, code: 'ServiceUnavailable' },
    });
    faults.add({ service: 'arm', action: 'Disks_GrantAccess', dropAnswer: true });
    const began = performance.now();
    const sink = await openSink(ground);
    await write(sink, 0);
    expect(performance.now() - began).toBeGreaterThanOrEqual(950);
    expect(await ground.disks()).toHaveLength(1);
  });

  test('whose operation fails late is told with its code, and the next try goes on', async () => {
    const context = createStepContext();
    const sink = await openSink(ground, context);
    await writeAll(sink);
    const error = { status: 500, code: 'InternalExecutionError', isLate: true };
    ground.fixture.sandbox.faults.add({ service: 'arm', action: 'Disks_RevokeAccess', error });
    await expect(finish(sink)).rejects.toMatchObject({
      code: 'target-unavailable',
      retryable: true,
      context: { azureCode: 'InternalExecutionError' },
    });
    const again = await openSink(ground, createStepContext({ state: context.state }));
    expect(ALL.every((index) => again.isHeld?.(index))).toBe(true);
    await finish(again);
    await ground.expectIdentical();
  });

  test('that cannot be reached is told so, and nothing waits without end', async () => {
    const stopped = AbortSignal.timeout(300);
    refuse('Disks_Get', { status: 503, code: 'ServiceUnavailable' });
    const opening = openSink(ground, createStepContext({ signal: stopped }));
    await expect(opening).rejects.toMatchObject({ code: 'cancelled' });
    expect(soon().aborted).toBe(false);
  });
});
