/** Boots the guest of one instance: its volumes as NVMe disks, in BIOS or UEFI mode, as large as the host allows. */
import { type Acceleration, probeAcceleration } from '../../boot/acceleration.ts';
import { bootGuest, type Guest } from '../../boot/guest.ts';
import type { Ec2Cloud } from './cloud.ts';
import { requireInstanceType } from './instance-types.ts';
import { currentBootMode } from './instance-xml.ts';
import type { Instance } from './state.ts';
import { provideVolume } from './volume-files.ts';

export type GuestBoot = {
  cloud: Ec2Cloud;
  /** null: to be probed. */
  acceleration: Acceleration | null;
  instance: Instance;
  signal: AbortSignal;
};

const MIB = 1024 * 1024;

/** Throws `boot-failed` or `tool-missing`. */
export async function bootInstance({ cloud, acceleration, instance, signal }: GuestBoot): Promise<Guest> {
  const { volumes } = cloud.store.read();
  const attached = instance.volumeIds.flatMap((id) => volumes[id] ?? []);
  for (const volume of attached) await provideVolume({ cloud, volume, signal });
  return await bootGuest({
    name: instance.id,
    firmware: currentBootMode(instance.bootMode) === 'uefi' ? 'uefi' : 'bios',
    disks: attached.map((volume) => ({
      path: cloud.files.volume(volume.id),
      format: 'qcow2',
      // As on Nitro: the volume's id without its dash.
      serial: volume.id.replace('-', ''),
    })),
    ...sizeGuest(cloud, instance),
    acceleration: acceleration ?? (await probeAcceleration({ signal })),
    folder: cloud.files.instance(instance.id),
    onReboot: 'restart',
    signal,
  });
}

/** The type says what the guest should have; the host caps it, and the log says so. */
function sizeGuest(
  { limits, log }: Ec2Cloud,
  { id, instanceType }: Instance,
): { cpus: number; memoryBytes: number } {
  const { vcpus, memoryMib } = requireInstanceType(instanceType);
  const cpus = Math.min(vcpus, limits.guestCpus);
  const givenMib = Math.min(memoryMib, limits.guestMemoryMib);
  if (cpus < vcpus || givenMib < memoryMib) {
    const message = `Instance ${id} (${instanceType}) gets ${cpus} of ${vcpus} CPUs and ${givenMib} of ${memoryMib} MiB on this host`;
    log('info', message, { instance: id });
  }
  return { cpus, memoryBytes: givenMib * MIB };
}
