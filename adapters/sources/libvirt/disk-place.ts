/** Which file a domain's disk is, or why Landfall cannot read it. */
import { LandfallError } from '../../../src/domain/errors.ts';
import { unreadableImage } from '../../../src/images/refusal.ts';
import { type Domain, type DomainDisk, FORMATS } from './domain.ts';
import type { ChainFile, ImagePlace } from './image-place.ts';
import { labelOf, nameOfSource } from './machine.ts';
import type { Virsh } from './virsh.ts';

type Located = { virsh: Virsh; place: ImagePlace; domain: Domain; disk: DomainDisk; signal: AbortSignal };

/** Throws `image-unreadable` or `image-missing`. */
export async function locateDisk(located: Located): Promise<ChainFile> {
  const { place, domain, disk, signal } = located;
  const format = FORMATS[disk.format];
  const refusal = whyUnreadable(disk);
  if (refusal !== null || format === undefined) {
    throw unreadableImage({ label: labelOf(domain, disk), ...(refusal ?? OTHER_FORMAT) });
  }
  return { path: await place.resolveLinks(await pathOf(located), signal), format };
}

/** null: there is no reason against it. */
export function whyUnreadable(disk: DomainDisk): { found: string; remedy: string } | null {
  const { source, isEncrypted, isShareable } = disk;
  if (source.kind === 'block') {
    return {
      found: `it is the block device ${source.path}, and Landfall reads image files`,
      remedy: `While the machine is off, copy it to a file (\`qemu-img convert -f raw -O qcow2 ${source.path} FILE.qcow2\`) and point the domain at that.`,
    };
  }
  if (source.kind === 'other') {
    return {
      found: `it is ${source.what}, and Landfall reads image files`,
      remedy: 'Copy it to an image file while the machine is off, or leave the machine out of the wave.',
    };
  }
  if (isEncrypted) {
    return {
      found: `${nameOfSource(disk)} is encrypted by libvirt`,
      remedy: 'Decrypt it with `qemu-img convert` and its key, and point the domain at the result.',
    };
  }
  if (isShareable) {
    return {
      found: `${nameOfSource(disk)} is shared with other machines, which may write to it while this one is off`,
      remedy: 'Migrate what it holds by its own means, and detach it from this machine first.',
    };
  }
  return null;
}

const OTHER_FORMAT = {
  found: 'Landfall does not read its format',
  remedy: 'Convert it to qcow2 while the machine is off.',
};

async function pathOf({ virsh, domain, disk, signal }: Located): Promise<string> {
  const { source } = disk;
  switch (source.kind) {
    case 'file':
    case 'block':
      return source.path;
    case 'volume': {
      const attempted = `Looking for the volume of ${labelOf(domain, disk)}`;
      const args = ['vol-path', '--pool', source.pool, '--vol', source.volume];
      return (await virsh.run(args, { attempted, signal })).trim();
    }
    case 'other':
      throw new LandfallError({ code: 'internal', message: `${source.what} has no path.` });
    default:
      return source satisfies never;
  }
}
