import { mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openWindow } from '../../../src/sandbox/ec2/file-window.ts';
import { checkVhd } from '../../../src/sandbox/ec2/vhd-check.ts';
import { checkVmdk } from '../../../src/sandbox/ec2/vmdk-check.ts';
import { judgeHealth } from '../../../src/sandbox/health.ts';

const SECTOR = 512;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'landfall-disk-check-'));
});
afterAll(async () => await rm(folder, { recursive: true, force: true }));

async function checking(bytes: Buffer, check: typeof checkVmdk): Promise<string> {
  const path = join(folder, 'disk');
  await writeFile(path, bytes);
  await using file = await open(path, 'r');
  const window = await openWindow(file);
  return await check(window).then(
    () => 'ok',
    (error: Error) => error.message,
  );
}

/** As VMware exports them: the directory at the end, announced by a footer. Sectors: header, descriptor, grain, table, directory, footer. */
function vmwareDisk(): Buffer {
  const at = { descriptor: 1, grain: 2, table: 4, directory: 9, footer: 11 };
  const file = Buffer.alloc((at.footer + 2) * SECTOR);
  const header = Buffer.alloc(SECTOR);
  header.write('KDMV', 0, 'latin1');
  header.writeUInt32LE(3, 4);
  header.writeUInt32LE(0x30001, 8);
  header.writeBigUInt64LE(128n, 12);
  header.writeBigUInt64LE(128n, 20);
  header.writeBigUInt64LE(BigInt(at.descriptor), 28);
  header.writeBigUInt64LE(1n, 36);
  header.writeUInt32LE(512, 44);
  header.writeBigUInt64LE(2n ** 64n - 1n, 56);
  header.writeUInt16LE(1, 77);
  header.copy(file);
  file.write('# Disk DescriptorFile\ncreateType="streamOptimized"\n', at.descriptor * SECTOR, 'latin1');
  file.writeUInt32LE(600, at.grain * SECTOR + 8);
  file.writeUInt32LE(at.grain, at.table * SECTOR);
  file.writeUInt32LE(at.table, at.directory * SECTOR);
  file.writeBigUInt64LE(1n, (at.footer - 1) * SECTOR);
  file.writeUInt32LE(3, (at.footer - 1) * SECTOR + 12);
  header.writeBigUInt64LE(BigInt(at.directory), 56);
  header.copy(file, at.footer * SECTOR);
  return file;
}

function patched(disk: Buffer, { at, value }: { at: number; value: number }): Buffer {
  disk.writeUInt32LE(value, at);
  return disk;
}

describe('checkVmdk', () => {
  const unsupported = 'ClientError: Disk validation failed [Unsupported VMDK File Format]';

  it('takes a disk with its directory at the end', async () => {
    expect(await checking(vmwareDisk(), checkVmdk)).toBe('ok');
  });

  it.each<[string, (disk: Buffer) => Buffer]>([
    ['without its end of stream', (disk) => disk.subarray(0, -SECTOR)],
    ['with something after its end', (disk) => Buffer.concat([disk, Buffer.alloc(SECTOR, 1)])],
    ['whose footer speaks of another disk', (disk) => patched(disk, { at: 11 * SECTOR + 12, value: 9 })],
    ['whose grain reaches beyond the file', (disk) => patched(disk, { at: 2 * SECTOR + 8, value: 60_000 })],
    ['whose table lies outside', (disk) => patched(disk, { at: 9 * SECTOR, value: 4_000_000_000 })],
    ['that claims the largest directory', (disk) => patched(disk, { at: 16, value: 2 ** 31 })],
    ['without compression', (disk) => patched(disk, { at: 77, value: 0 })],
    ['that is empty', () => Buffer.alloc(0)],
  ])('refuses one %s', async (_, change) => {
    expect(await checking(change(vmwareDisk()), checkVmdk)).toBe(unsupported);
  });
});

describe('checkVhd', () => {
  function fixedDisk(diskType: number): Buffer {
    const footer = Buffer.alloc(SECTOR);
    footer.write('conectix', 0, 'latin1');
    footer.writeBigUInt64BE(BigInt(SECTOR), 48);
    footer.writeUInt32BE(diskType, 60);
    footer.writeUInt32BE(~footer.reduce((sum, byte) => sum + byte, 0) >>> 0, 64);
    return Buffer.concat([Buffer.alloc(SECTOR), footer]);
  }

  it('takes a fixed disk, and refuses a differencing one, a wrong checksum and a wrong size', async () => {
    expect(await checking(fixedDisk(2), checkVhd)).toBe('ok');
    expect(await checking(fixedDisk(4), checkVhd)).toBe('ClientError: Footers not identical');
    const wrong = fixedDisk(2);
    wrong.writeUInt8(1, SECTOR + 100);
    expect(await checking(wrong, checkVhd)).toBe('ClientError: Footers not identical');
    const long = Buffer.concat([Buffer.alloc(SECTOR), fixedDisk(2)]);
    expect(await checking(long, checkVhd)).toContain('Unsupported VHD File Format');
  });
});

describe('judgeHealth', () => {
  const limits = { healthyAfterMs: 1_000, silentAfterMs: 60_000 };

  it.each([
    [
      'initializing while only firmware spoke',
      5_000,
      'SeaBIOS (version 1.16)\nBooting from Hard Disk...\n',
      'initializing',
    ],
    ['initializing in its first moments', 500, 'Linux version 6.1\n', 'initializing'],
    ['ok once it spoke and lived a while', 1_500, 'BdsDxe: starting Boot0001\nLinux version 6.1\n', 'ok'],
    ['impaired when it panicked', 1_500, 'Linux version 6.1\nKernel panic - not syncing: VFS\n', 'impaired'],
    [
      'impaired when there is nothing to boot',
      100,
      'BdsDxe: No bootable option or device was found.\n',
      'impaired',
    ],
    ['impaired when it stays silent', 60_000, '', 'impaired'],
  ])('is %s', (_, aliveMs, console, health) => {
    expect(judgeHealth({ aliveMs, console, ...limits })).toBe(health);
  });
});
