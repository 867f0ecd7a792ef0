/** The command line of a guest: a small cloud machine, cut off from everything but its disks. */
import type { Firmware } from '../domain/machine.ts';
import type { Acceleration } from './acceleration.ts';
import type { GuestDisk } from './guest.ts';
import { qemuDriver } from './overlay.ts';
import { OVMF_CODE } from './uefi-firmware.ts';

export type GuestArguments = {
  name: string;
  firmware: Firmware;
  disks: readonly GuestDisk[];
  cpus: number;
  memoryBytes: number;
  acceleration: Acceleration;
  onReboot: 'stop' | 'restart';
  /** Private copy of the UEFI variables; unused by BIOS. */
  uefiVariables: string;
  /** Unix sockets that are listened on before QEMU starts, which connects to them. */
  qmpSocket: string;
  serialSocket: string;
};

const MIB = 1024 * 1024;
/** Translated code; QEMU's default grows to 1 GiB a guest. */
const TRANSLATION_MIB = 256;
/** An NVMe controller takes a serial number of at most 20 characters. */
const MAX_SERIAL_CHARACTERS = 20;

export function guestArguments(guest: GuestArguments): string[] {
  return [
    ...isolation(guest),
    ...machine(guest),
    ...(guest.firmware === 'uefi' ? uefiFirmware(guest.uefiVariables) : []),
    ...channels(guest),
    ...guest.disks.flatMap(nvmeDisk),
  ];
}

function isolation({ name }: GuestArguments): string[] {
  const sandbox = 'on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny';
  const own = ['-nodefaults', '-no-user-config', '-nic', 'none', '-display', 'none'];
  return ['-name', `guest=${escapeCommas(name)}`, '-sandbox', sandbox, '-msg', 'timestamp=on', ...own];
}

function machine({ firmware, cpus, memoryBytes, acceleration, onReboot }: GuestArguments): string[] {
  const accel = acceleration === 'kvm' ? 'kvm' : `tcg,thread=multi,tb-size=${TRANSLATION_MIB}`;
  const processor = acceleration === 'kvm' ? 'host' : 'max';
  const flash = firmware === 'uefi' ? ',pflash0=uefi-code,pflash1=uefi-variables' : '';
  return [
    // graphics=off makes SeaBIOS repeat its messages on the serial port ("No bootable device"), beside the screen.
    ...['-machine', `q35,graphics=off${flash}`, '-accel', accel, '-cpu', processor, '-smp', String(cpus)],
    ...['-m', `${Math.ceil(memoryBytes / MIB)}M`, '-rtc', 'base=utc', '-device', 'VGA,xres=1024,yres=768'],
    // Only the first disk boots, as in a cloud; without one that boots the firmware says so instead of trying the next.
    ...['-boot', 'strict=on', '-action', `reboot=${onReboot === 'stop' ? 'shutdown' : 'reset'},panic=none`],
  ];
}

function uefiFirmware(variables: string): string[] {
  return [
    ...['-blockdev', JSON.stringify(fileNode('uefi-code', 'raw', { path: OVMF_CODE, readOnly: true }))],
    ...['-blockdev', JSON.stringify(fileNode('uefi-variables', 'raw', { path: variables, readOnly: false }))],
  ];
}

function channels({ qmpSocket, serialSocket }: GuestArguments): string[] {
  const client = (id: string, path: string): string =>
    `socket,id=${id},path=${escapeCommas(path)},server=off`;
  return [
    ...['-chardev', client('qmp', qmpSocket), '-mon', 'chardev=qmp,mode=control'],
    ...['-chardev', client('serial', serialSocket), '-device', 'isa-serial,chardev=serial'],
  ];
}

/** Block devices are described in JSON: no path can be taken for an option. */
function nvmeDisk({ path, format, readOnly = false, serial }: GuestDisk, index: number): string[] {
  const node = `disk${index}`;
  const device = {
    driver: 'nvme',
    id: `nvme${index}`,
    drive: node,
    serial: (serial ?? node).slice(0, MAX_SERIAL_CHARACTERS),
    ...(index === 0 ? { bootindex: 0 } : {}),
  };
  const file = { ...fileNode(node, qemuDriver(format), { path, readOnly }), discard: 'unmap' };
  return ['-blockdev', JSON.stringify(file), '-device', JSON.stringify(device)];
}

function fileNode(
  name: string,
  driver: string,
  { path, readOnly }: { path: string; readOnly: boolean },
): object {
  return {
    driver,
    'node-name': name,
    'read-only': readOnly,
    file: { driver: 'file', filename: path, 'read-only': readOnly },
  };
}

function escapeCommas(text: string): string {
  return text.replaceAll(',', ',,');
}
