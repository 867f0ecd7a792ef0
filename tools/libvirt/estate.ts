/**
 * Running machines at a libvirt of one's own, for the weekend demo and its test: Linux guests that hear their power button.
 * The last one is tied to the name of its virtio disk, so it runs here and does not boot in a cloud.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { buildTestGuest } from '../estate/guest-variants.ts';
import type { GuestKind } from '../estate/kernel-arguments.ts';
import type { OwnLibvirt } from './libvirtd.ts';

export type RunningGuest = { name: string; uuid: string };

export const WEEKEND_GUESTS: readonly { name: string; kind: GuestKind }[] = [
  { name: 'crm-db', kind: 'ok' },
  { name: 'crm-app', kind: 'ok' },
  { name: 'crm-web', kind: 'ok' },
  { name: 'wiki', kind: 'ok' },
  { name: 'old-batch', kind: 'tied' },
];

/** Defines them, marks one to start with its host, and starts all. */
export async function startWeekendEstate(
  libvirt: OwnLibvirt,
  { cacheFolder, signal }: { cacheFolder: string; signal?: AbortSignal },
): Promise<RunningGuest[]> {
  const folder = join(libvirt.folder, 'images');
  const guests: RunningGuest[] = [];
  for (const { name, kind } of WEEKEND_GUESTS) {
    const { path } = await buildTestGuest({
      ...{ folder, name, kind, cacheFolder, firmware: 'bios' as const },
      ...(signal && { signal }),
    });
    await libvirt.give(path);
    guests.push({ name, uuid: await libvirt.define(domainXml(name, path, consoleOf(libvirt, name))) });
  }
  // One that its host starts: a cutover must turn that off, and a rollback on again.
  await libvirt.virsh('autostart', 'old-batch');
  for (const { name } of guests) await libvirt.virsh('start', name);
  return guests;
}

/** Waits until all of them show their login. */
export async function untilLoggedIn(
  libvirt: OwnLibvirt,
  guests: readonly RunningGuest[],
  signal?: AbortSignal,
): Promise<void> {
  const deadline = performance.now() + BOOT_TIMEOUT_MS;
  for (const { name } of guests) {
    while (!(await readFile(consoleOf(libvirt, name), 'utf8')).includes('login:')) {
      if (performance.now() > deadline) throw new Error(`${name} did not boot at libvirt`);
      await sleep(200, undefined, { ...(signal && { signal }) });
    }
  }
}

const BOOT_TIMEOUT_MS = 120_000;

function consoleOf(libvirt: OwnLibvirt, name: string): string {
  return join(libvirt.folder, 'images', `${name}.console`);
}

function domainXml(name: string, disk: string, console: string): string {
  return `<domain type='qemu'><name>${name}</name><memory unit='MiB'>192</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='pc'>hvm</type></os><features><acpi/></features>
<devices>
<disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='${disk}'/><target dev='vda' bus='virtio'/></disk>
<serial type='file'><source path='${console}'/><target port='0'/></serial>
<memballoon model='none'/>
</devices></domain>`;
}
