/**
 * The source `libvirt`. Machines are read while they are off: what proves that is libvirt's word, asked before, during
 * and after a copy, since raw images know no lock. Images are read where they lie, over a read-only qemu-nbd.
 */
import type { Source } from '../../../src/domain/ports.ts';
import { createControl, namedDomain } from './control.ts';
import { asDomainImage } from './domain-image.ts';
import { powerStateOf, readStatus } from './domain-status.ts';
import { exportDisk, type Grounds, openDisk } from './export.ts';
import { findDomains } from './inventory.ts';
import { createLocalImages } from './local-images.ts';
import { describeMachine } from './machine.ts';
import { type LibvirtOptions, machineOptions } from './options.ts';
import { preflightLibvirt } from './preflight.ts';
import { createRemoteImages } from './remote-images.ts';
import { sshHostOf } from './ssh.ts';
import { createVirsh } from './virsh.ts';

export function createLibvirtSource(options: LibvirtOptions): Source {
  const virsh = createVirsh(options.uri);
  const place = isOverSsh(options) ? createRemoteImages(sshHostOf(options.uri)) : createLocalImages();
  const grounds: Grounds = { virsh, place, backingFolders: options.backingFolders };
  return {
    machines: async (from, signal) => {
      const { os, ...selector } = machineOptions(from);
      const found = await findDomains(virsh, selector, signal);
      return found.map((each) => describeMachine(each, os));
    },
    preflight: (machines, signal) => preflightLibvirt(grounds, machines, signal),
    powerState: async (machine, signal) => {
      const domain = namedDomain(machine);
      return powerStateOf(await readStatus(virsh, domain, { signal }), domain);
    },
    export: (request, { signal }) => exportDisk(grounds, request, signal),
    open: (image, signal) => openDisk(grounds, image, signal),
    fingerprint: async (image) => {
      const { libvirt } = asDomainImage(image);
      const { startId } = await readStatus(virsh, libvirt);
      // The files of a machine that runs change all the time: that it was started is what matters.
      if (startId !== null) return `libvirt:${libvirt.uuid}:started ${startId}`;
      return `libvirt:${libvirt.uuid}:off:${await place.fingerprint(libvirt.chain)}`;
    },
    // Nothing is held beyond what is open.
    release: async () => {},
    control: createControl(virsh),
  };
}

function isOverSsh({ uri, images }: LibvirtOptions): boolean {
  return (images ?? (/^qemu\+(ssh|libssh2?):/.test(uri) ? 'ssh' : 'here')) === 'ssh';
}
