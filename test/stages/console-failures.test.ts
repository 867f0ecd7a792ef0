import { describe, expect, it } from 'vitest';
import { findFailure } from '../../src/stages/console-failures.ts';

describe('findFailure', () => {
  it.each([
    [
      '[    1.2] Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)',
      'mount its root',
    ],
    ['[    2.0] Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000100', 'kernel panicked'],
    ['No bootable device.', 'nothing to boot'],
    ['BdsDxe: No bootable option or device was found.', 'nothing to boot'],
    ['UEFI Interactive Shell v2.2', 'own shell'],
    ['Missing operating system.', 'boot record'],
    ['grub rescue>', 'rescue shell'],
    ['grub>', 'no configuration'],
    ['dracut:/# ', 'dracut'],
    ['Entering emergency mode. Exit the shell to continue.', 'emergency mode'],
    ['You are in emergency mode. After logging in, type "journalctl -xb"', 'emergency mode'],
    ['Gave up waiting for root file system device.  Common problems:', 'root file system'],
    ['ALERT!  UUID=1f2e does not exist.  Dropping to a shell!', 'root file system'],
    ['(initramfs)', "initramfs's shell"],
    ['[FAILED] Failed to mount /sysroot.', 'root file system'],
    ['BOOTMGR is missing', 'boot manager'],
    ['Stop code: INACCESSIBLE_BOOT_DEVICE', 'no driver'],
  ])('knows "%s"', (line, explanation) => {
    const found = findFailure(['Booting', line, 'later'], []);
    expect(found?.explanation).toContain(explanation);
    expect(found?.line).toBe(line.trim());
    expect(found?.remedy).not.toBe('');
  });

  it.each([
    'Boot failed: not a bootable disk',
    'BdsDxe: failed to load Boot0001 "UEFI NVMe" from PciRoot(0x0)/Pci(0x4,0x0): Not Found',
    'Command line: root=/dev/vda1 panic=30 systemd.unit=multi-user.target',
    'Gave up waiting for suspend/resume device',
    'kernel.panic = 10',
    'dracut: dracut-057',
    '[  OK  ] Reached target Emergency Mode.',
    'systemd[1]: emergency.service: skipped',
    '      Minimal BASH-like line editing is supported.',
  ])('lets "%s" pass', (line) => {
    expect(findFailure([line], [])).toBeNull();
  });

  it('knows what the wave refuses, and names the pattern', () => {
    const found = findFailure(['shop-db: database is corrupt'], ['database is corrupt']);
    expect(found).toMatchObject({ line: 'shop-db: database is corrupt' });
    expect(found?.explanation).toContain('/database is corrupt/');
  });

  it('gives the first failure of several', () => {
    const lines = ['Gave up waiting for root file system device.', 'Kernel panic - not syncing: no init'];
    expect(findFailure(lines, [])?.line).toBe(lines[0]);
  });
});
