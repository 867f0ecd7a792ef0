import { createHash } from 'node:crypto';
import { createReadStream, existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { PNG } from 'pngjs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { bootGuest, type Guest, type GuestOptions } from '../../src/boot/guest.ts';
import { createOverlay } from '../../src/boot/overlay.ts';
import { startTool } from '../../src/processes/child.ts';
import { buildTestGuest, type TestGuest } from '../../tools/estate/guest-variants.ts';
import type { GuestKind } from '../../tools/estate/kernel-arguments.ts';
import { GUEST_CACHE } from '../tools/estate/test-cache.ts';

const MIB = 1024 * 1024;
/** A UEFI guest takes 7 s under emulation, and some times that on a busy machine. */
const BOOT_TIMEOUT_MS = 120_000;

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'landfall-test-'));
  // The first run fetches the kernel.
}, 180_000);
afterAll(() => rm(folder, { recursive: true }));

async function build(name: string, kind: GuestKind, firmware: 'bios' | 'uefi'): Promise<TestGuest> {
  return buildTestGuest({ folder, kind, firmware, cacheFolder: GUEST_CACHE, name });
}

/** From an overlay, as every caller should. */
async function boot(name: string, path: string, more: Partial<GuestOptions> = {}): Promise<Guest> {
  const own = join(folder, `${name}.guest`);
  await mkdir(own, { recursive: true });
  const overlay = join(own, 'overlay.qcow2');
  await createOverlay({ backing: path, backingFormat: 'raw', path: overlay });
  return bootGuest({
    name,
    firmware: 'bios',
    disks: [{ path: overlay, format: 'qcow2' }],
    cpus: 1,
    memoryBytes: 256 * MIB,
    acceleration: 'tcg',
    folder: own,
    ...more,
  });
}

async function untilPrinted(guest: Guest, pattern: RegExp): Promise<string> {
  const wait = { timeout: BOOT_TIMEOUT_MS, interval: 100 };
  await expect.poll(() => guest.consoleText(), wait).toMatch(pattern);
  return guest.consoleText();
}

/** A raw disk whose boot sector is this code. */
async function writeBootSector(name: string, code: readonly number[]): Promise<string> {
  const path = join(folder, `${name}.raw`);
  const disk = Buffer.alloc(MIB);
  disk.set(code, 0);
  disk.set([0x55, 0xaa], 510);
  await writeFile(path, disk);
  return path;
}

async function digest(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}

function countColours(png: Uint8Array): number {
  const { data } = PNG.sync.read(Buffer.from(png));
  const colours = new Set<number>();
  for (let offset = 0; offset < data.length; offset += 4) colours.add(data.readUInt32LE(offset));
  return colours.size;
}

/** An orphan may stay as a zombie where nobody reaps it. */
async function isAlive(pid: number): Promise<boolean> {
  try {
    return !/^State:\s+Z/m.test(await readFile(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

/** Command lines of this user's processes that hold the text. */
async function findProcesses(text: string): Promise<string[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const lines = await Promise.all(
    pids.map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')),
  );
  return lines.filter((line) => line.includes(`guest=${text}\0`));
}

async function listSocketFolders(): Promise<string[]> {
  return (await readdir(tmpdir())).filter((name) => name.startsWith('landfall-guest-'));
}

test.each(['bios', 'uefi'] as const)(
  'a %s guest boots to its login, shows its content and its screen, and obeys the power button',
  async (firmware) => {
    const name = `ok-${firmware}`;
    const { path, expected } = await build(name, 'ok', firmware);
    const before = await digest(path);
    await using guest = await boot(name, path, { firmware });
    const text = await untilPrinted(guest, new RegExp(`^${name} login:`, 'm'));
    expect(text).toContain(`landfall-guest ${name} booted (${firmware.toUpperCase()})`);
    for (const { disk, sha256, file } of expected) {
      expect(text).toContain(`landfall-guest disk ${disk} sha256 ${sha256} ${file}`);
    }
    expect(countColours(await guest.screenshot())).toBeGreaterThan(1);
    expect(guest.state()).toBe('running');
    await guest.powerButton();
    expect(await guest.exited).toMatchObject({ reason: 'shut-down' });
    expect(guest.state()).toBe('stopped');
    expect(await guest.consoleText()).toContain('powers off');
    await expect(guest.screenshot()).rejects.toMatchObject({ code: 'boot-failed' });
    expect(await digest(path)).toBe(before);
  },
  BOOT_TIMEOUT_MS,
);

test(
  'a guest that panics keeps running, with its panic on the console',
  async () => {
    const { path } = await build('panic', 'panic', 'bios');
    await using guest = await boot('panic', path);
    await untilPrinted(guest, /Kernel panic - not syncing/);
    expect(guest.state()).toBe('running');
    expect(countColours(await guest.screenshot())).toBeGreaterThan(1);
  },
  BOOT_TIMEOUT_MS,
);

test(
  'a silent guest runs and says nothing',
  async () => {
    const { path } = await build('silent', 'silent', 'bios');
    await using guest = await boot('silent', path);
    await untilPrinted(guest, /SYSLINUX/);
    // Only its user space obeys the power button, so it is up when it ends, having said nothing.
    const press = async (): Promise<string> => {
      if (guest.state() === 'running') await guest.powerButton().catch(() => undefined);
      return guest.state();
    };
    await expect.poll(press, { timeout: BOOT_TIMEOUT_MS, interval: 500 }).toBe('stopped');
    expect(await guest.exited).toMatchObject({ reason: 'shut-down' });
    expect(await guest.consoleText()).not.toMatch(/login:|landfall-guest|panic/);
  },
  BOOT_TIMEOUT_MS,
);

test('stopping a guest pulls its plug, once or twice', async () => {
  const path = await writeBootSector('stopped', [0xf4, 0xeb, 0xfd]);
  await using guest = await boot('stopped', path);
  const exits = await Promise.all([guest.stop(), guest.stop()]);
  expect(exits).toMatchObject([{ reason: 'stopped' }, { reason: 'stopped' }]);
  expect(await guest.stop()).toBe(exits[0]);
});

test('a disk that does not boot is reported on the console by the firmware', async () => {
  const path = join(folder, 'empty.raw');
  await writeFile(path, Buffer.alloc(MIB));
  await using guest = await boot('empty', path);
  await untilPrinted(guest, /No bootable device/);
});

test('a guest that reboots is stopped, unless it may restart', async () => {
  // mov al, 'R'; mov dx, 0x3f8; out dx, al; mov al, 0xfe; out 0x64, al; hlt
  const reset = [0xb0, 0x52, 0xba, 0xf8, 0x03, 0xee, 0xb0, 0xfe, 0xe6, 0x64, 0xf4];
  const path = await writeBootSector('reset', reset);
  await using once = await boot('reset-once', path);
  expect(await once.exited).toMatchObject({ reason: 'reset' });
  await using loops = await boot('reset-loop', path, { onReboot: 'restart' });
  await untilPrinted(loops, /R[^R]+R[^R]+R/);
  expect(loops.state()).toBe('running');
});

test('disposing a guest ends QEMU, and no socket is left', async () => {
  const path = await writeBootSector('idle', [0xf4, 0xeb, 0xfd]);
  const others = await listSocketFolders();
  let pid = 0;
  {
    await using guest = await boot('idle', path);
    pid = guest.pid;
    expect(await isAlive(pid)).toBe(true);
  }
  expect(await isAlive(pid)).toBe(false);
  // Guests of other tests may come and go meanwhile.
  const left = (await listSocketFolders()).filter((name) => !others.includes(name));
  for (const name of left) await expect.poll(() => existsSync(join(tmpdir(), name))).toBe(false);
});

test('QEMU dies with a killed owner', async () => {
  const path = await writeBootSector('orphan', [0xf4, 0xeb, 0xfd]);
  const script = `
    const { bootGuest } = await import(process.argv[1]);
    const disks = [{ path: process.argv[2], format: 'raw' }];
    const guest = await bootGuest({ name: 'orphan', firmware: 'bios', disks, cpus: 1, memoryBytes: 64 * 2 ** 20,
      acceleration: 'tcg', folder: process.argv[3] });
    console.log(guest.pid);
    await guest.exited;`;
  const told = Promise.withResolvers<number>();
  await using owner = await startTool({
    command: process.execPath,
    args: [
      ...['--input-type=module', '-e', script, '--'],
      ...[join(import.meta.dirname, '../../src/boot/guest.ts'), path, join(folder, 'orphan.guest')],
    ],
    onLine: (line) => told.resolve(Number(line)),
  });
  const pid = await told.promise;
  expect(await isAlive(pid)).toBe(true);
  process.kill(owner.pid, 'SIGKILL');
  await expect.poll(() => isAlive(pid), { timeout: 5_000 }).toBe(false);
});

test('a disk that QEMU refuses fails the boot with its reason, and nothing stays open', async () => {
  const disks = [{ path: join(folder, 'missing,file.qcow2'), format: 'qcow2' as const }];
  const path = await writeBootSector('refused', [0xf4]);
  await expect(boot('refused', path, { disks })).rejects.toMatchObject({
    code: 'boot-failed',
    message: expect.stringMatching(/guest refused.*missing,file\.qcow2.*No such file/),
  });
});

test.each([0, 20, 60, 120])('a boot aborted after %i ms leaves no process', async (delayMs) => {
  const path = await writeBootSector('aborted', [0xf4, 0xeb, 0xfd]);
  const disks = [{ path, format: 'raw' as const }];
  const started = boot(`aborted-${delayMs}`, path, { disks, signal: AbortSignal.timeout(delayMs) });
  // A quick start may come before the abort: then the guest is ours to end.
  const guest = await started.catch((error: unknown) => {
    expect(error).toMatchObject({ name: 'TimeoutError' });
    return null;
  });
  await guest?.stop();
  expect(await findProcesses(`aborted-${delayMs}`)).toEqual([]);
});

test('a guest may read a disk that it may not write', async () => {
  const path = await writeBootSector('guarded', [0xf4, 0xeb, 0xfd]);
  const before = await digest(path);
  const disks = [{ path, format: 'raw' as const, readOnly: true }];
  await using guest = await boot('guarded', path, { disks });
  await untilPrinted(guest, /Booting from Hard Disk/);
  await guest.stop();
  expect(await digest(path)).toBe(before);
});
