/** What only the AWS target promises, against the sandbox cloud: lost answers, quotas, quarantine, launch settings. */
import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import {
  DescribeInstanceAttributeCommand,
  DescribeInstancesCommand,
  DescribeSecurityGroupsCommand,
  type Instance,
  type SecurityGroup,
  TerminateInstancesCommand,
} from '@aws-sdk/client-ec2';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { crc32 } from '../../../../src/blocks/crc32.ts';
import type { JsonObject } from '../../../../src/domain/json.ts';
import type { Artifact, Landing } from '../../../../src/domain/landing.ts';
import type { ImportRequest, Target, UploadRequest } from '../../../../src/domain/ports.ts';
import { createDurableState, createStepContext, type FakeStepContext } from '../../../fakes/step-context.ts';
import { finish, removeAll, untilDone, uploadAll, writePieces } from '../drive-target.ts';
import { machineWith, plannedWith } from '../machines.ts';
import { openSandboxGround, type SandboxGround } from './sandbox-ground.ts';

const MIB = 2 ** 20;
/** A raw disk is any bytes in whole sectors. */
const DISK = Buffer.concat([randomBytes(11 * MIB), Buffer.alloc(MIB)]);

let ground: SandboxGround;
let target: Target;

beforeAll(async () => {
  ground = await openSandboxGround({ importTasks: 2 });
  target = targetWith({});
}, 60_000);
afterEach(() => ground.sandbox.faults.clear());
afterAll(() => ground[Symbol.asyncDispose](), 60_000);

describe('answers that are lost on the way', () => {
  test.each(['CreateMultipartUpload', 'UploadPart', 'CompleteMultipartUpload'])(
    'of %s make no second object and leave no upload',
    async (action) => {
      ground.sandbox.faults.add({ service: 's3', action, dropAnswer: true });
      const context = contextOf(`lost-${action}`);
      const artifact = await uploadDisk(target, context);
      expect(artifact.digests).toContainEqual({
        algorithm: 'crc32',
        value: crc32(DISK).toString(16).padStart(8, '0'),
        isConfirmed: true,
      });
      expect(ground.sandbox.requests.received('s3', action)).toBeGreaterThan(1);
      const things = await target.findTagged(context.run, context.signal);
      expect(things.map(({ kind }) => kind)).toEqual(['object']);
      await removeRun(context);
    },
  );

  test('of everything that import and admit make, make nothing twice', async () => {
    const context = contextOf('lost-import');
    const request = await requestFor(context);
    const actions = ['ImportSnapshot', 'RegisterImage', 'CreateSecurityGroup', 'RunInstances', 'CreateTags'];
    for (const action of [...actions, 'ModifyInstanceAttribute', 'RevokeSecurityGroupEgress'])
      ground.sandbox.faults.add({ service: 'ec2', action, dropAnswer: true });
    const landing = await untilDone(() => target.import(request, context));
    expect(await ground.holdings(context.run)).toEqual({
      snapshot: 1,
      image: 1,
      instance: 1,
      volume: 1,
      group: 1,
    });
    await untilDone(() => target.admit({ to: ground.to, landing }, context));
    expect(await ground.isAdmitted(landing)).toBe(true);
    await removeRun(context);
  }, 60_000);

  test('throttling is waited out by the SDK', async () => {
    const error = { status: 503, code: 'SlowDown', message: 'Please reduce your request rate.' };
    ground.sandbox.faults.add({ service: 's3', action: 'UploadPart', times: 2, error });
    const context = contextOf('throttled');
    await uploadDisk(target, context);
    await removeRun(context);
  });

  test('a denial ends at once and says what to grant', async () => {
    const error = { status: 403, code: 'UnauthorizedOperation', message: 'You are not authorized.' };
    const context = contextOf('denied');
    const request = await requestFor(context);
    ground.sandbox.requests.clear();
    ground.sandbox.faults.add({ service: 'ec2', action: 'ImportSnapshot', times: 9, error });
    await expect(untilDone(() => target.import(request, context))).rejects.toMatchObject({
      code: 'target-denied',
      retryable: false,
      message: expect.stringContaining('Grant ec2:ImportSnapshot'),
    });
    expect(ground.sandbox.requests.received('ec2', 'ImportSnapshot')).toBe(1);
    ground.sandbox.faults.clear();
    await removeRun(context);
  });
});

test('parts that are held are not sent again', async () => {
  const state = createDurableState();
  const first = await target.openUpload(requestOf(), contextOf('held', state));
  await writePieces(first, DISK, [1, 2]);
  const second = await target.openUpload(requestOf(), contextOf('held', state));
  await writePieces(second, DISK, [3]);
  await finish(second, DISK);
  const ref = state.ledger[0]?.ref ?? {};
  const stored = ground.sandbox.requests.storedParts(String(ref.bucket), String(ref.key));
  expect([...stored].sort()).toEqual([
    [1, 1],
    [2, 1],
    [3, 1],
  ]);
  await removeRun(contextOf('held', state));
});

describe('import tasks', () => {
  test('wait for one of the slots of all workers, and give theirs back', async () => {
    const narrow = targetWith({ importTasks: 1 });
    const context = contextOf('slots');
    const request = await requestFor(context, { diskCount: 2 });
    const started = await narrow.import(request, context);
    expect(started).toMatchObject({
      kind: 'wait',
      note: expect.stringContaining('disk 1: waits for one of 1 import tasks'),
    });
    await untilDone(() => narrow.import(request, context));
    expect([...context.state.slots.values()].map(({ size }) => size)).toEqual([0]);
    await removeRun(context);
  }, 60_000);

  test("wait where the account's own quota is reached, and fail nothing", async () => {
    const context = contextOf('quota');
    const request = await requestFor(context);
    const error = { status: 400, code: 'ResourceLimitExceeded', message: 'Too many import tasks.' };
    ground.sandbox.faults.add({ service: 'ec2', action: 'ImportSnapshot', error });
    const outcome = await target.import(request, context);
    expect(outcome).toMatchObject({ kind: 'wait', note: expect.stringContaining('as many import tasks') });
    await untilDone(() => target.import(request, context));
    await removeRun(context);
  }, 60_000);

  test('via import-image tell what AWS found in the guest', async () => {
    const inspecting = targetWith({ via: 'import-image' });
    const context = contextOf('import-image');
    const request = await requestFor(context);
    await expect(untilDone(() => inspecting.import(request, context))).rejects.toMatchObject({
      code: 'import-failed',
      message: expect.stringMatching(/no operating system that it knows.*ClientError/),
    });
    await removeRun(context);
  }, 60_000);

  test('under way are cancelled by discard', async () => {
    const context = contextOf('cancelled');
    const request = await requestFor(context, { diskCount: 2 });
    await target.import(request, context);
    for (const entry of (await context.ledger.entries()).reverse()) await target.discard(entry, context);
    expect(await target.findTagged(context.run, context.signal)).toEqual([]);
    expect(await ground.holdings(context.run)).toEqual({});
  }, 60_000);
});

describe('an instance', () => {
  const context = contextOf('instance');
  let request: ImportRequest;
  let landing: Landing;

  beforeAll(async () => {
    const to = { ...ground.to, privateIp: '172.31.0.77', tags: { Team: 'shop' } };
    request = { ...(await requestFor(context, { diskCount: 2 })), to };
    landing = await untilDone(() => target.import(request, context));
  }, 60_000);
  afterAll(() => removeRun(context), 60_000);

  test('starts as the wave says, and outlives its own power-off with its disks', async () => {
    const instance = await describeInstance(landing.id);
    expect(instance).toMatchObject({
      SubnetId: ground.to.subnet,
      PrivateIpAddress: '172.31.0.77',
      InstanceType: 't3.nano',
      MetadataOptions: { HttpTokens: 'required' },
    });
    expect(instance.Tags).toContainEqual({ Key: 'Name', Value: 'web01' });
    expect(instance.Tags).toContainEqual({ Key: 'Team', Value: 'shop' });
    const disks = instance.BlockDeviceMappings ?? [];
    expect(disks.map(({ DeviceName, Ebs }) => [DeviceName, Ebs?.DeleteOnTermination])).toEqual([
      ['/dev/sda1', false],
      ['/dev/sdf', false],
    ]);
    const shutdown = await ground.ec2.send(
      new DescribeInstanceAttributeCommand({
        InstanceId: landing.id,
        Attribute: 'instanceInitiatedShutdownBehavior',
      }),
    );
    expect(shutdown.InstanceInitiatedShutdownBehavior?.Value).toBe('stop');
  });

  test('is alone in a group that lets nothing in or out', async () => {
    const [group] = await groupsOf(await describeInstance(landing.id));
    expect(group).toMatchObject({ IpPermissions: [], IpPermissionsEgress: [] });
  });

  test('holds its address against the next plan', async () => {
    const { name } = request.machine;
    const failuresOf = async (machine: string) => {
      const findings = await target.preflight([plannedWith(request.to, { name: machine })], context.signal);
      return findings.filter(({ level }) => level === 'fail');
    };
    const [own, ...others] = await failuresOf(name);
    expect(others).toEqual([]);
    expect(own).toMatchObject({ landedBy: context.run, message: expect.stringContaining(landing.id) });
    const [strange] = await failuresOf('another');
    expect(strange).not.toHaveProperty('landedBy');
    // What may be in service is given up last, and alone.
    expect(strange?.remedy).toMatch(
      new RegExp(`^Name a free address.*in service.*landfall discard ${context.run} ${name} --landed`),
    );
  });

  test('that somebody terminated is replaced when import is asked again', async () => {
    await terminate(landing.id);
    const next = await untilDone(() => target.import({ ...request, to: ground.to }, context));
    expect(next.id).not.toBe(landing.id);
    expect((await describeInstance(next.id)).State?.Name).toBe('running');
    landing = next;
  }, 60_000);

  test('whose token is spent before its id was noted is started under a new one', async () => {
    await terminate(landing.id);
    const entry = context.state.ledger.findLast(({ thing }) => thing === 'instance');
    if (entry === undefined) throw new Error('no instance in the ledger');
    Object.assign(entry, { state: 'intended', ref: null });
    const next = await untilDone(() => target.import({ ...request, to: ground.to }, context));
    expect(next.id).not.toBe(landing.id);
    const generations = context.state.ledger.filter(({ thing }) => thing === 'instance');
    expect(generations.map(({ state }) => state)).toEqual(['discarded', 'discarded', 'done']);
    landing = next;
  }, 60_000);
});

test('an AMI that AWS made (import-image) gives its disks the same settings', async () => {
  const source = contextOf('ami-source');
  const sourceRequest = await requestFor(source);
  const made = await untilDone(() => target.import(sourceRequest, source));
  const context = contextOf('ami-made');
  const entry = await context.ledger.intend('import-task');
  await context.ledger.settle(entry, 'done', { imageId: String(made.ref.imageId), snapshotIds: [] });
  const request = { machine: machineWith(), to: ground.to, artifacts: [] };
  const landing = await untilDone(() =>
    targetWith({ via: 'import-image', volumeType: 'gp2' }).import(request, context),
  );
  const disks = (await describeInstance(landing.id)).BlockDeviceMappings ?? [];
  expect(disks.map(({ DeviceName, Ebs }) => [DeviceName, Ebs?.DeleteOnTermination])).toEqual([
    ['/dev/sda1', false],
  ]);
  await removeRun(context);
  await removeRun(source);
}, 60_000);

test('the quarantine group of a run is shared, and the last machine to leave removes it', async () => {
  const state = createDurableState();
  const contexts = ['a', 'b'].map((machine) => contextOf('shared', state, machine));
  const landings: Landing[] = [];
  for (const context of contexts) {
    const request = await requestFor(context);
    landings.push(await untilDone(() => target.import(request, context)));
  }
  const groups = new Set(landings.map(({ ref }) => ref.quarantineGroup));
  expect(groups.size).toBe(1);
  const counts: (number | undefined)[] = [];
  for (const [index, context] of contexts.entries()) {
    const landing = landings[index] as Landing;
    await untilDone(() => target.admit({ to: ground.to, landing }, context));
    counts.push((await ground.holdings('shared')).group);
  }
  expect(counts).toEqual([1, undefined]);
  await removeRun(contexts[0] as FakeStepContext);
}, 60_000);

test('keep: true leaves the uploaded objects', async () => {
  const context = contextOf('kept');
  const request = await requestFor(context);
  await untilDone(() => targetWith({ keep: true }).import(request, context));
  expect(await ground.holdings(context.run)).toMatchObject({ object: 1 });
  await removeRun(context);
}, 60_000);

function targetWith(options: JsonObject): Target {
  const parsed = ground.adapter.options.parse({ ...ground.options, ...options });
  return ground.adapter.create(parsed, { waveFolder: '.', scratchFolder: '.', cacheFolder: '.' });
}

function contextOf(run: string, state = createDurableState(), machine = 'web01'): FakeStepContext {
  return createStepContext({ run, state, machine });
}

function requestOf(disk = '0'): UploadRequest {
  return {
    machine: machineWith(),
    disk,
    diskBytes: DISK.length,
    to: ground.to,
    form: { kind: 'parts', container: 'raw' },
    contentId: 'as it was',
    maxFileBytes: DISK.length,
  };
}

async function requestFor(
  context: FakeStepContext,
  { diskCount = 1 }: { diskCount?: number } = {},
): Promise<ImportRequest> {
  const machine = machineWith({ diskCount, name: context.machine });
  const artifacts: Artifact[] = [];
  for (const { id } of machine.disks) artifacts.push(await uploadDisk(target, context, id));
  return { machine, to: ground.to, artifacts };
}

function uploadDisk(through: Target, context: FakeStepContext, disk = '0'): Promise<Artifact> {
  return uploadAll(through, requestOf(disk), context, DISK);
}

function removeRun({ run }: FakeStepContext): Promise<void> {
  return removeAll(target, run);
}

async function describeInstance(id: string): Promise<Instance> {
  const answer = await ground.ec2.send(new DescribeInstancesCommand({ InstanceIds: [id] }));
  return answer.Reservations?.[0]?.Instances?.[0] as Instance;
}

async function groupsOf({ SecurityGroups = [] }: Instance): Promise<SecurityGroup[]> {
  const GroupIds = SecurityGroups.flatMap(({ GroupId }) => GroupId ?? []);
  const answer = await ground.ec2.send(new DescribeSecurityGroupsCommand({ GroupIds }));
  return answer.SecurityGroups ?? [];
}

async function terminate(id: string): Promise<void> {
  await ground.ec2.send(new TerminateInstancesCommand({ InstanceIds: [id] }));
  for (let look = 0; look < 300; look += 1) {
    if ((await describeInstance(id)).State?.Name === 'terminated') return;
    await delay(100);
  }
  throw new Error(`${id} was not terminated within 30 s`);
}
