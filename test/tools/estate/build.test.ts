import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { bootGuest, type GuestDisk } from '../../../src/boot/guest.ts';
import { createOverlay } from '../../../src/boot/overlay.ts';
import { runTool } from '../../../src/processes/child.ts';
import type { Estate } from '../../../tools/estate/build.ts';
import { provideTestEstate } from './test-cache.ts';

const MIB = 1024 * 1024;
const PARTS = ['shop-db.ovf', 'shop-db.mf', 'shop-db-disk1.vmdk', 'shop-db-disk2.vmdk'];

let estate: Estate;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'landfall-test-'));
  estate = await provideTestEstate();
  await runTool({ command: 'tar', args: ['-xf', estate.shopDb, '-C', folder] });
  // The first run fetches the kernel.
}, 180_000);
afterAll(() => rm(folder, { recursive: true }));

test('an estate whose recipe did not change is found, not built', async () => {
  const before = await stat(estate.shopDb);
  const again = await provideTestEstate();
  expect(again).toEqual(estate);
  expect((await stat(again.shopDb)).ino).toBe(before.ino);
});

test('the appliance is a ustar archive with its descriptor first', async () => {
  const { stdout } = await runTool({ command: 'tar', args: ['-tf', estate.shopDb] });
  expect(stdout.split('\n')).toEqual(PARTS);
  const header = (await readFile(estate.shopDb)).subarray(257, 263);
  expect(header.toString('latin1')).toBe('ustar\0');
});

test('the manifest holds the digest of every other part', async () => {
  const manifest = await readFile(join(folder, 'shop-db.mf'), 'utf8');
  const named = [...manifest.matchAll(/^SHA256\((.+)\)= ([0-9a-f]{64})$/gm)];
  expect(named.map(([, name]) => name).sort()).toEqual(PARTS.filter((name) => !name.endsWith('.mf')).sort());
  for (const [, name, digest] of named) {
    const bytes = await readFile(join(folder, name ?? ''));
    expect(createHash('sha256').update(bytes).digest('hex')).toBe(digest);
  }
});

test('its disks are stream-optimised VMDKs, as large as the descriptor says', async () => {
  const descriptor = await readFile(join(folder, 'shop-db.ovf'), 'utf8');
  for (const [name, mib] of [
    ['shop-db-disk1.vmdk', 256],
    ['shop-db-disk2.vmdk', 512],
  ] as const) {
    const args = ['info', '-f', 'vmdk', '--output=json', join(folder, name)];
    const info = JSON.parse((await runTool({ command: 'qemu-img', args })).stdout);
    expect(info['virtual-size']).toBe(mib * MIB);
    expect(info['format-specific'].data['create-type']).toBe('streamOptimized');
    expect(descriptor).toContain(`ovf:capacity="${mib}" ovf:capacityAllocationUnits="byte * 2^20"`);
    const { size } = await stat(join(folder, name));
    expect(descriptor).toMatch(new RegExp(`ovf:href="${name}"[^>]*ovf:size="${size}"`));
  }
});

test.each([
  ['shop-db', 'bios'],
  ['shop-web', 'uefi'],
] as const)(
  '%s boots and prints the hash of known content on every disk',
  async (name, firmware) => {
    const under =
      name === 'shop-db'
        ? ['shop-db-disk1.vmdk', 'shop-db-disk2.vmdk'].map((file) => join(folder, file))
        : [estate.shopWeb];
    const disks: GuestDisk[] = [];
    for (const [index, backing] of under.entries()) {
      const path = join(folder, `${name}-${index}.overlay`);
      await createOverlay({ backing, backingFormat: name === 'shop-db' ? 'vmdk' : 'qcow2', path });
      disks.push({ path, format: 'qcow2' });
    }
    const own = { folder: join(folder, `${name}.guest`), cpus: 2, memoryBytes: 512 * MIB };
    await using guest = await bootGuest({ name, firmware, disks, acceleration: 'tcg', ...own });
    const wait = { timeout: 120_000, interval: 100 };
    await expect.poll(() => guest.consoleText(), wait).toContain(`${name} login:`);
    const text = await guest.consoleText();
    const expected = estate.expected.filter(({ machine }) => machine === name);
    expect(new Set(expected.map(({ disk }) => disk)).size).toBe(disks.length);
    for (const { disk, sha256, file } of expected) {
      expect(text).toContain(`landfall-guest disk ${disk} sha256 ${sha256} ${file}`);
    }
  },
  180_000,
);

test('a guest that lacks a disk says so and shows no login', async () => {
  const path = join(folder, 'lacking.overlay');
  await createOverlay({ backing: join(folder, 'shop-db-disk1.vmdk'), backingFormat: 'vmdk', path });
  await using guest = await bootGuest({
    name: 'shop-db',
    firmware: 'bios',
    disks: [{ path, format: 'qcow2' }],
    cpus: 1,
    memoryBytes: 256 * MIB,
    acceleration: 'tcg',
    folder: join(folder, 'lacking.guest'),
  });
  const wait = { timeout: 120_000, interval: 100 };
  await expect.poll(() => guest.consoleText(), wait).toContain('shop-db does not have its disks');
  expect(await guest.consoleText()).toContain('landfall-guest disk 1 is missing');
  expect(await guest.consoleText()).not.toContain('login:');
}, 120_000);
