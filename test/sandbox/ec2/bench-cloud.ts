/** A sandbox EC2 on a real HTTP port, with objects and roles that a test holds in its hands. */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { copyFile, mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  DescribeImportImageTasksCommand,
  DescribeImportSnapshotTasksCommand,
  EC2Client,
  EC2ServiceException,
  type ImportImageTask,
  ImportSnapshotCommand,
  RegisterImageCommand,
  type RegisterImageCommandInput,
  type SnapshotTaskDetail,
} from '@aws-sdk/client-ec2';
import { expect } from 'vitest';
import type { Ec2Limits } from '../../../src/sandbox/ec2/cloud.ts';
import { createEc2, type Ec2, type Ec2Options } from '../../../src/sandbox/ec2/service.ts';
import type { ObjectReader, Role, RoleReader, StoredObject } from '../../../src/sandbox/neighbours.ts';

export const REGION = 'us-east-1';
export const BUCKET = 'acme';
export const SUBNET = 'subnet-0de0000000000001';
export const WEB = 'sg-0de00000000000aa';
export const DB = 'sg-0de00000000000bb';

export type BenchCloud = AsyncDisposable & {
  client: EC2Client;
  folder: string;
  scratch: string;
  port: number;
  logs: string[];
  /** Puts a file where S3 would have it. */
  put(key: string, file: string): Promise<void>;
  putBytes(key: string, bytes: Uint8Array): Promise<void>;
  remove(key: string): void;
  roles: Set<string>;
  /** Ends this sandbox and opens another on the same folder. */
  restart(limits?: Partial<Ec2Limits>): Promise<void>;
};

export async function openBenchCloud(options: Partial<Ec2Options> = {}): Promise<BenchCloud> {
  const scratch = await mkdtemp(join(tmpdir(), 'landfall-ec2-'));
  const folder = join(scratch, 'ec2');
  await mkdir(join(scratch, 'objects'));
  const stored = new Map<string, StoredObject>();
  const objects: ObjectReader = {
    find: async (bucket, key) => (bucket === BUCKET ? (stored.get(key) ?? null) : null),
    bucketRegion: (bucket) => (bucket === BUCKET ? REGION : bucket === 'far' ? 'ap-south-1' : null),
  };
  const roles = new Set(['vmimport']);
  const roleReader: RoleReader = {
    find: (name) => (roles.has(name) ? fakeRole(name) : null),
    findInstanceProfile: (name) =>
      name === 'web-profile'
        ? { name, arn: `arn:aws:iam::1:instance-profile/${name}`, id: 'AIPA1', roles: [] }
        : null,
  };
  const logs: string[] = [];
  const open = (limits: Partial<Ec2Limits> = {}): Promise<Ec2> =>
    createEc2({
      folder,
      objects,
      roles: roleReader,
      accountId: '123456789012',
      region: REGION,
      log: (level, message) => void logs.push(`${level}: ${message}`),
      acceleration: 'tcg',
      ...options,
      limits: { deletingMs: 300, healthyAfterMs: 500, shutdownMs: 300, ...options.limits, ...limits },
    });
  let ec2 = await open();
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const context = {
        requestId: randomUUID(),
        accessKeyId: 'AKIA',
        accountId: '123456789012',
        region: REGION,
        signal: AbortSignal.timeout(20_000),
      };
      ec2.handle(new URLSearchParams(Buffer.concat(chunks).toString()), context).then(
        ({ status, xml }) => response.writeHead(status, { 'content-type': 'text/xml' }).end(xml),
        (error: unknown) => response.writeHead(500).end(String(error)),
      );
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const client = new EC2Client({
    region: REGION,
    endpoint: `http://127.0.0.1:${port}`,
    credentials: { accessKeyId: 'AKIA', secretAccessKey: 'secret' },
    maxAttempts: 1,
  });
  const putBytes = async (key: string, bytes: Uint8Array): Promise<void> => {
    const file = join(scratch, 'objects', randomUUID());
    await writeFile(file, bytes);
    stored.set(key, { file, bytes: bytes.byteLength, etag: randomUUID() });
  };
  return {
    client,
    folder,
    scratch,
    port,
    logs,
    roles,
    putBytes,
    async put(key, file) {
      const copy = join(scratch, 'objects', randomUUID());
      await copyFile(file, copy);
      stored.set(key, { file: copy, bytes: (await stat(copy)).size, etag: randomUUID() });
    },
    remove: (key) => void stored.delete(key),
    async restart(limits) {
      await ec2[Symbol.asyncDispose]();
      ec2 = await open(limits);
    },
    async [Symbol.asyncDispose]() {
      client.destroy();
      server.closeAllConnections();
      server.close();
      await ec2[Symbol.asyncDispose]();
      await rm(scratch, { recursive: true, force: true });
    },
  };
}

export async function importKey(
  cloud: BenchCloud,
  { key, format, ...rest }: { key: string; format: string; ClientToken?: string },
): Promise<string> {
  const { ImportTaskId } = await cloud.client.send(
    new ImportSnapshotCommand({
      DiskContainer: { Format: format, UserBucket: { S3Bucket: BUCKET, S3Key: key } },
      ...rest,
    }),
  );
  return ImportTaskId ?? '';
}

export async function taskDetail(cloud: BenchCloud, id: string): Promise<SnapshotTaskDetail> {
  const { ImportSnapshotTasks } = await cloud.client.send(
    new DescribeImportSnapshotTasksCommand({ ImportTaskIds: [id] }),
  );
  return ImportSnapshotTasks?.[0]?.SnapshotTaskDetail ?? {};
}

export async function untilTask(cloud: BenchCloud, id: string, status: string): Promise<SnapshotTaskDetail> {
  return await until(
    () => taskDetail(cloud, id),
    ({ Status, StatusMessage }) => {
      if (Status === 'deleted' && status === 'completed')
        throw new Error(`the import failed: ${StatusMessage}`);
      return Status === status;
    },
  );
}

export async function untilImageTask(
  cloud: BenchCloud,
  id: string,
  status: string,
): Promise<ImportImageTask> {
  return await until(
    async () => {
      const { ImportImageTasks } = await cloud.client.send(
        new DescribeImportImageTasksCommand({ ImportTaskIds: [id] }),
      );
      return ImportImageTasks?.[0] ?? {};
    },
    ({ Status, StatusMessage }) => {
      if (Status === 'deleted' && status === 'completed')
        throw new Error(`the import failed: ${StatusMessage}`);
      return Status === status;
    },
  );
}

/** A snapshot of a small raw disk, by a real import. */
export async function makeSnapshot(cloud: BenchCloud, disk: Uint8Array): Promise<string> {
  const key = randomUUID();
  await cloud.putBytes(key, disk);
  const detail = await untilTask(cloud, await importKey(cloud, { key, format: 'RAW' }), 'completed');
  return detail.SnapshotId ?? '';
}

export async function makeImage(
  cloud: BenchCloud,
  disk: Uint8Array,
  changes: Partial<RegisterImageCommandInput> = {},
): Promise<string> {
  const SnapshotId = await makeSnapshot(cloud, disk);
  const { ImageId } = await cloud.client.send(
    new RegisterImageCommand({
      Name: `image ${randomUUID()}`,
      VirtualizationType: 'hvm',
      Architecture: 'x86_64',
      EnaSupport: true,
      RootDeviceName: '/dev/sda1',
      BlockDeviceMappings: [
        { DeviceName: '/dev/sda1', Ebs: { SnapshotId, VolumeType: 'gp3', DeleteOnTermination: true } },
      ],
      ...changes,
    }),
  );
  return ImageId ?? '';
}

/** The refusal's code and message. */
export async function refusalOf(request: Promise<unknown>): Promise<{ code: string; message: string }> {
  const error = await request.then(
    () => null,
    (caught: unknown) => caught,
  );
  expect(error).toBeInstanceOf(EC2ServiceException);
  const { name: code, message } = error as EC2ServiceException;
  return { code, message };
}

/** Asks again until the answer fits; the test's own timeout bounds it. */
export async function until<T>(ask: () => Promise<T>, fits: (answer: T) => boolean): Promise<T> {
  for (const deadline = Date.now() + 60_000; ; ) {
    const answer = await ask();
    if (fits(answer)) return answer;
    if (Date.now() > deadline) throw new Error(`still ${JSON.stringify(answer)}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function fakeRole(name: string): Role {
  return { name, arn: `arn:aws:iam::123456789012:role/${name}`, trusts: () => true, allows: () => true };
}
