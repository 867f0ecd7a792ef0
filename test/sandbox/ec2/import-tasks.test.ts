import { randomBytes } from 'node:crypto';
import { access, copyFile, open, readdir, readFile, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import {
  CancelImportTaskCommand,
  DeleteSnapshotCommand,
  DescribeImagesCommand,
  DescribeImportSnapshotTasksCommand,
  DescribeSnapshotsCommand,
  ImportImageCommand,
  ImportSnapshotCommand,
} from '@aws-sdk/client-ec2';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runTool } from '../../../src/processes/child.ts';
import {
  type BenchCloud,
  BUCKET,
  importKey,
  openBenchCloud,
  refusalOf,
  taskDetail,
  until,
  untilImageTask,
  untilTask,
} from './bench-cloud.ts';
import { bootDisk } from './boot-sector.ts';

const MIB = 1024 * 1024;
const DISK_BYTES = 24 * MIB;

let cloud: BenchCloud;
/** A sparse disk of which 3 MiB are noise and the rest is nothing. */
let source: string;

beforeAll(async () => {
  cloud = await openBenchCloud({ limits: { importTasks: 4 } });
  source = join(cloud.scratch, 'source.raw');
  await writeFile(source, '');
  await truncate(source, DISK_BYTES);
  await writeAt(source, 5 * MIB + 512, randomBytes(3 * MIB));
});
afterAll(async () => await cloud?.[Symbol.asyncDispose]());

async function writeAt(path: string, position: number, bytes: Uint8Array): Promise<void> {
  await using file = await open(path, 'r+');
  await file.write(bytes, 0, bytes.byteLength, position);
}

async function convert(name: string, format: string, options: string[] = []): Promise<string> {
  const target = join(cloud.scratch, name);
  await runTool({
    command: 'qemu-img',
    args: ['convert', '-f', 'raw', '-O', format, ...options.flatMap((o) => ['-o', o]), source, target],
  });
  return target;
}

const streamOptimized = () => convert('s.vmdk', 'vmdk', ['subformat=streamOptimized']);

async function failureOf(key: string, format: string): Promise<string> {
  const detail = await untilTask(cloud, await importKey(cloud, { key, format }), 'deleted');
  expect(detail.SnapshotId).toBeUndefined();
  return detail.StatusMessage ?? '';
}

async function equalsSource(snapshotId: string): Promise<void> {
  const landed = await readFile(join(cloud.folder, 'snapshots', `${snapshotId}.raw`));
  expect(landed.equals(await readFile(source))).toBe(true);
}

describe('ImportSnapshot', () => {
  it.each([
    { name: 'a stream-optimised VMDK', format: 'VMDK', make: streamOptimized },
    {
      name: 'a dynamic VHD',
      format: 'VHD',
      make: () => convert('d.vhd', 'vpc', ['subformat=dynamic,force_size=on']),
    },
    {
      name: 'a fixed VHD',
      format: 'VHD',
      make: () => convert('f.vhd', 'vpc', ['subformat=fixed,force_size=on']),
    },
    { name: 'a raw disk', format: 'RAW', make: async () => source },
  ])('makes of $name a snapshot that equals its source', async ({ format, make }) => {
    const file = await make();
    await cloud.put('disk', file);
    const detail = await untilTask(cloud, await importKey(cloud, { key: 'disk', format }), 'completed');
    expect(detail).toMatchObject({ Format: format, DiskImageSize: (await stat(file)).size });
    expect(detail.UserBucket).toEqual({ S3Bucket: BUCKET, S3Key: 'disk' });
    const snapshotId = detail.SnapshotId ?? '';
    await equalsSource(snapshotId);
    const { blocks } = await stat(join(cloud.folder, 'snapshots', `${snapshotId}.raw`));
    expect(blocks * 512).toBeLessThan(8 * MIB);
    const { Snapshots } = await cloud.client.send(
      new DescribeSnapshotsCommand({ SnapshotIds: [snapshotId] }),
    );
    expect(Snapshots).toMatchObject([{ State: 'completed', VolumeSize: 1, Progress: '100%' }]);
    expect(await readdir(join(cloud.folder, 'downloads'))).toEqual([]);
    await cloud.client.send(new DeleteSnapshotCommand({ SnapshotId: snapshotId }));
    await expect(access(join(cloud.folder, 'snapshots', `${snapshotId}.raw`))).rejects.toThrow('ENOENT');
  });

  it('says `deleting` before `deleted`, never `error`, and keeps the message', async () => {
    await cloud.putBytes('odd', Buffer.alloc(1000));
    const id = await importKey(cloud, { key: 'odd', format: 'RAW' });
    const seen = new Set<string>();
    const detail = await until(
      () => taskDetail(cloud, id),
      ({ Status = '' }) => {
        seen.add(Status);
        return Status === 'deleted';
      },
    );
    expect([...seen]).toContain('deleting');
    expect([...seen]).not.toContain('error');
    expect(detail.StatusMessage).toMatch(/^ClientError: Disk validation failed \[.*multiple of 512 bytes/);
    expect(await readdir(join(cloud.folder, 'snapshots'))).toEqual([]);
  });

  it('refuses VMDKs that are not stream-optimised, cut off or overwritten', async () => {
    const unsupported = 'ClientError: Disk validation failed [Unsupported VMDK File Format]';
    await cloud.put('sparse', await convert('m.vmdk', 'vmdk', ['subformat=monolithicSparse']));
    expect(await failureOf('sparse', 'VMDK')).toBe(unsupported);
    const whole = await streamOptimized();
    const cut = join(cloud.scratch, 'cut.vmdk');
    await copyFile(whole, cut);
    await truncate(cut, Math.floor((await stat(whole)).size * 0.7));
    await cloud.put('cut', cut);
    expect(await failureOf('cut', 'VMDK')).toBe(unsupported);
    const damaged = join(cloud.scratch, 'damaged.vmdk');
    await copyFile(whole, damaged);
    await writeAt(damaged, (await stat(whole)).size - MIB, Buffer.alloc(256 * 1024, 0x55));
    await cloud.put('damaged', damaged);
    expect(await failureOf('damaged', 'VMDK')).toMatch(/^ClientError: (Uncompressed|Disk validation failed)/);
    await cloud.put('raw', source);
    expect(await failureOf('raw', 'VMDK')).toBe(unsupported);
  });

  it('refuses VHDs whose footers differ or are missing, and differencing ones', async () => {
    const differ = 'ClientError: Footers not identical';
    const dynamic = await convert('d2.vhd', 'vpc', ['subformat=dynamic,force_size=on']);
    const { size } = await stat(dynamic);
    const headless = join(cloud.scratch, 'headless.vhd');
    await copyFile(dynamic, headless);
    await writeAt(headless, 8, Buffer.alloc(16, 1));
    await cloud.put('headless', headless);
    expect(await failureOf('headless', 'VHD')).toBe(differ);
    const footless = join(cloud.scratch, 'footless.vhd');
    await copyFile(dynamic, footless);
    await truncate(footless, size - 512);
    await cloud.put('footless', footless);
    expect(await failureOf('footless', 'VHD')).toBe(differ);
    await cloud.put('raw', source);
    expect(await failureOf('raw', 'VHD')).toBe(
      'ClientError: Disk validation failed [Unsupported VHD File Format]',
    );
  });

  it('refuses gzip, whatever it is called, and formats that it has not', async () => {
    await cloud.putBytes('zipped', gzipSync(await readFile(source)));
    for (const format of ['VMDK', 'RAW']) {
      expect(await failureOf('zipped', format)).toBe(
        'ClientError: Disk validation failed [Unsupported specified file format]',
      );
    }
    const { code, message } = await refusalOf(importKey(cloud, { key: 'zipped', format: 'VHDX' }));
    expect(code).toBe('InvalidParameter');
    expect(message).toContain('VHDX');
  });

  it('takes the bytes of a raw disk as they are, also those that name another file', async () => {
    const overlay = join(cloud.scratch, 'overlay.qcow2');
    await runTool({
      command: 'qemu-img',
      args: ['create', '-q', '-f', 'qcow2', '-b', '/etc/passwd', '-F', 'raw', overlay, '1M'],
    });
    await truncate(overlay, MIB);
    await cloud.put('hostile', overlay);
    const detail = await untilTask(
      cloud,
      await importKey(cloud, { key: 'hostile', format: 'RAW' }),
      'completed',
    );
    const landed = await readFile(join(cloud.folder, 'snapshots', `${detail.SnapshotId}.raw`));
    expect(landed.equals(await readFile(overlay))).toBe(true);
    expect(await failureOf('hostile', 'VMDK')).toContain('Unsupported VMDK File Format');
    await cloud.client.send(new DeleteSnapshotCommand({ SnapshotId: detail.SnapshotId }));
  });

  it('gives a token the same task again, also a failed one, and refuses other parameters', async () => {
    await cloud.putBytes('odd', Buffer.alloc(1000));
    const request = { key: 'odd', format: 'RAW', ClientToken: 'again' };
    const id = await importKey(cloud, request);
    await untilTask(cloud, id, 'deleted');
    expect(await importKey(cloud, request)).toBe(id);
    const other = await refusalOf(importKey(cloud, { ...request, format: 'VHD' }));
    expect(other.code).toBe('IdempotentParameterMismatch');
    const twins = await Promise.all(
      ['one', 'one', 'one'].map((ClientToken) =>
        importKey(cloud, { key: 'odd', format: 'RAW', ClientToken }),
      ),
    );
    expect(new Set(twins).size).toBe(1);
    await untilTask(cloud, twins[0] ?? '', 'deleted');
  });

  it('refuses a request without role, bucket or object', async () => {
    cloud.roles.delete('vmimport');
    expect(await refusalOf(importKey(cloud, { key: 'odd', format: 'RAW' }))).toEqual({
      code: 'InvalidParameter',
      message: 'The service role vmimport provided does not exist or does not have sufficient permissions',
    });
    cloud.roles.add('vmimport');
    const { message } = await refusalOf(importKey(cloud, { key: 'nothing', format: 'RAW' }));
    expect(message).toBe('Invalid S3 source location');
    const far = new ImportSnapshotCommand({
      DiskContainer: { Format: 'RAW', UserBucket: { S3Bucket: 'far', S3Key: 'x' } },
    });
    expect((await refusalOf(cloud.client.send(far))).message).toBe(
      'The given S3 bucket is not local to the Region',
    );
    const nothing = new ImportSnapshotCommand({});
    expect((await refusalOf(cloud.client.send(nothing))).code).toBe('MissingParameter');
  });
});

describe('import tasks', () => {
  it('are limited in number while they are active; one that was cancelled is deleted, with the reason', async () => {
    await using bench = await openBenchCloud({ limits: { importTasks: 2, conversions: 0 } });
    await bench.put('disk', source);
    const [first = ''] = [
      await importKey(bench, { key: 'disk', format: 'RAW' }),
      await importKey(bench, { key: 'disk', format: 'RAW' }),
    ];
    expect(await taskDetail(bench, first)).toMatchObject({
      Status: 'active',
      StatusMessage: 'pending',
      Progress: '0',
    });
    expect(await refusalOf(importKey(bench, { key: 'disk', format: 'RAW' }))).toEqual({
      code: 'ResourceLimitExceeded',
      message: 'Task failed to initialize - conversion task limit (2) exceeded.',
    });
    await bench.client.send(new CancelImportTaskCommand({ ImportTaskId: first, CancelReason: 'wrong disk' }));
    expect(await untilTask(bench, first, 'deleted')).toMatchObject({ StatusMessage: 'wrong disk' });
    await importKey(bench, { key: 'disk', format: 'RAW' });
    const again = new CancelImportTaskCommand({ ImportTaskId: first });
    expect((await refusalOf(bench.client.send(again))).code).toBe('IncorrectState');
  });

  it('go on after a restart of the sandbox', async () => {
    await using bench = await openBenchCloud({ limits: { conversions: 0 } });
    await bench.put('disk', source);
    const id = await importKey(bench, { key: 'disk', format: 'RAW', ClientToken: 'kept' });
    await bench.restart({ conversions: 1 });
    const detail = await untilTask(bench, id, 'completed');
    const landed = await readFile(join(bench.folder, 'snapshots', `${detail.SnapshotId}.raw`));
    expect(landed.equals(await readFile(source))).toBe(true);
    expect(await importKey(bench, { key: 'disk', format: 'RAW', ClientToken: 'kept' })).toBe(id);
  });

  it('fail when their object goes before they end', async () => {
    await using bench = await openBenchCloud({ limits: { conversions: 0 } });
    await bench.put('disk', source);
    const id = await importKey(bench, { key: 'disk', format: 'RAW' });
    bench.remove('disk');
    await bench.restart({ conversions: 1 });
    const detail = await untilTask(bench, id, 'deleted');
    expect(detail.StatusMessage).toBe('ClientError: Invalid S3 source location');
  });

  it('are told apart by id and filter', async () => {
    const ask = (input: object) => cloud.client.send(new DescribeImportSnapshotTasksCommand(input));
    expect((await refusalOf(ask({ ImportTaskIds: ['import-snap-00000000000000000'] }))).code).toBe(
      'InvalidConversionTaskId.Malformed',
    );
    const { ImportSnapshotTasks = [] } = await ask({
      Filters: [{ Name: 'task-state', Values: ['deleted'] }],
    });
    expect(ImportSnapshotTasks.length).toBeGreaterThan(5);
    const seen: string[] = [];
    for (let NextToken: string | undefined; ; ) {
      const page = await ask({ MaxResults: 5, ...(NextToken === undefined ? {} : { NextToken }) });
      seen.push(...(page.ImportSnapshotTasks ?? []).flatMap(({ ImportTaskId }) => ImportTaskId ?? []));
      NextToken = page.NextToken;
      if (NextToken === undefined) break;
    }
    const all = await ask({});
    expect(seen.toSorted()).toEqual(
      all.ImportSnapshotTasks?.map(({ ImportTaskId }) => ImportTaskId).toSorted(),
    );
    expect(new Set(seen).size).toBe(seen.length);
  });
});

describe('ImportImage', () => {
  it('makes an image of several disks', async () => {
    await cloud.putBytes('boot', bootDisk('login: '));
    await cloud.put('data', source);
    const { ImportTaskId = '' } = await cloud.client.send(
      new ImportImageCommand({
        Platform: 'Windows',
        LicenseType: 'BYOL',
        DiskContainers: ['boot', 'data'].map((S3Key) => ({
          Format: 'RAW',
          UserBucket: { S3Bucket: BUCKET, S3Key },
        })),
      }),
    );
    const task = await untilImageTask(cloud, ImportTaskId, 'completed');
    expect(task.SnapshotDetails).toHaveLength(2);
    const { Images } = await cloud.client.send(new DescribeImagesCommand({ ImageIds: [task.ImageId ?? ''] }));
    expect(Images).toMatchObject([
      {
        Name: ImportTaskId,
        Platform: 'windows',
        BootMode: 'legacy-bios',
        VirtualizationType: 'hvm',
        Architecture: 'x86_64',
      },
    ]);
    expect(Images?.[0]?.BlockDeviceMappings?.map(({ Ebs }) => Ebs?.SnapshotId)).toEqual(
      task.SnapshotDetails?.map(({ SnapshotId }) => SnapshotId),
    );
    await equalsSource(task.SnapshotDetails?.[1]?.SnapshotId ?? '');
  });

  it('fails for a disk that holds no system, and takes its snapshots back', async () => {
    const before = await readdir(join(cloud.folder, 'snapshots'));
    await cloud.put('data', source);
    const { ImportTaskId = '' } = await cloud.client.send(
      new ImportImageCommand({
        DiskContainers: [{ Format: 'RAW', UserBucket: { S3Bucket: BUCKET, S3Key: 'data' } }],
      }),
    );
    const task = await untilImageTask(cloud, ImportTaskId, 'deleted');
    expect(task.StatusMessage).toBe('ClientError: Unknown OS / Missing OS files.');
    expect(await readdir(join(cloud.folder, 'snapshots'))).toEqual(before);
  });
});
