/** Guests of one boot sector: they write to their disk, and then obey their power button, or do not. */
import { randomBytes } from 'node:crypto';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'vitest';
import { runTool } from '../../../../src/processes/child.ts';
import type { OwnLibvirt } from '../../../../tools/libvirt/libvirtd.ts';

export const MIB = 2 ** 20;
const SECTOR_BYTES = 512;

/** int 13h writes the boot sector, with the BIOS's clock in it, to the second sector. */
const WRITE_CLOCK = [
  ...[0x31, 0xc0, 0x8e, 0xd8, 0x8e, 0xc0], // ds = es = 0
  ...[0xa1, 0x6c, 0x04, 0xa3, 0xf0, 0x7d], // [7df0] = [46c]
  ...[0xb8, 0x01, 0x03, 0xbb, 0x00, 0x7c, 0xb9, 0x02, 0x00, 0xba, 0x80, 0x00, 0xcd, 0x13],
  ...[0x31, 0xc9], // cx = 0
];
/** PM1_EN of qemu's chipsets, where SeaBIOS puts them: the power button counts from here on. */
const HEAR_BUTTON = [0xba, 0x02, 0x06, 0xb8, 0x00, 0x01, 0xef];
/** Turns off when the button was pressed (PM1_STS, bit 8), or by itself after 8192 ticks, 7.5 min: no guest is forgotten. */
const WAIT = [
  ...[0xba, 0x00, 0x06, 0xed], // ax = PM1_STS
  ...[0xf6, 0xc4, 0x01, 0x75, 0x0a], // pressed: off
  ...[0x41, 0x81, 0xf9, 0x00, 0x20, 0x77, 0x03], // cx > 8192: off
  ...[0xf4, 0xeb, 0xed], // hlt, again
  ...[0xba, 0x04, 0x06, 0xb8, 0x00, 0x20, 0xef, 0xeb, 0xfe], // PM1_CNT: sleep type 0, which is off
];

export type GuestKind = 'obedient' | 'stubborn';

/** A raw disk that boots, with random data behind. */
export async function makeBootDisk(
  path: string,
  kind: GuestKind = 'obedient',
  bytes = 4 * MIB,
): Promise<string> {
  const sector = Buffer.alloc(SECTOR_BYTES);
  sector.set([...WRITE_CLOCK, ...(kind === 'obedient' ? HEAR_BUTTON : []), ...WAIT]);
  sector.set([0x55, 0xaa], SECTOR_BYTES - 2);
  await using file = await open(path, 'w');
  await file.truncate(bytes);
  await file.write(sector, 0, SECTOR_BYTES, 0);
  const data = randomBytes(100_000);
  await file.write(data, 0, data.length, 70_000);
  return path;
}

export async function qemuImg(...args: string[]): Promise<string> {
  return (await runTool({ command: 'qemu-img', args })).stdout;
}

/** `disks` is XML. */
export function domainXml(domain: {
  name: string;
  disks: string;
  more?: string;
  devices?: string;
  isUefi?: boolean;
}): string {
  return `<domain type='qemu'><name>${domain.name}</name><memory unit='MiB'>16</memory><vcpu>1</vcpu>
<os${domain.isUefi === true ? " firmware='efi'" : ''}><type arch='x86_64' machine='pc'>hvm</type></os><features><acpi/></features>${domain.more ?? ''}
<devices>${domain.disks}${domain.devices ?? ''}<memballoon model='none'/></devices></domain>`;
}

export function fileDisk(disk: { path: string; format: string; target: string; more?: string }): string {
  const bus = disk.target.startsWith('vd') ? 'virtio' : 'ide';
  return `<disk type='file' device='disk'><driver name='qemu' type='${disk.format}'/><source file='${disk.path}'/>
${disk.more ?? ''}<target dev='${disk.target}' bus='${bus}'/></disk>`;
}

/** A domain with one raw disk, off. */
export async function defineGuest(
  libvirt: OwnLibvirt,
  guest: { name: string; kind?: GuestKind; more?: string; devices?: string; isUefi?: boolean },
): Promise<{ name: string; uuid: string; path: string }> {
  const path = await makeBootDisk(join(libvirt.folder, 'images', `${guest.name}.raw`), guest.kind);
  await libvirt.give(path);
  const disks = fileDisk({ path, format: 'raw', target: 'vda' });
  return { name: guest.name, uuid: await libvirt.define(domainXml({ ...guest, disks })), path };
}

/** Waits until the guest itself wrote to its disk: from then on it hears its power button. */
export async function untilBooted(libvirt: OwnLibvirt, uuid: string, target = 'vda'): Promise<void> {
  const writes = async () =>
    Number(/wr_req (\d+)/.exec(await libvirt.virsh('domblkstat', uuid, target))?.[1] ?? 0);
  await expect.poll(writes, { timeout: 20_000, interval: 100 }).toBeGreaterThan(0);
}
