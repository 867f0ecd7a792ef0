/**
 * What a path on disk holds: an OVA, the folder or descriptor of an OVF, a VMX, or a bare disk image. Told by content
 * where content tells; every disk passes the header guard, and an OVF's manifest must hold.
 */
import { stat } from 'node:fs/promises';
import { extname, join, resolve } from 'node:path';
import type { ApplianceMachine, ReadOptions } from './appliance-machine.ts';
import { readBareMachine } from './bare-machine.ts';
import { readHead } from './disk-content.ts';
import { listNames } from './neighbour-file.ts';
import { isTarHead } from './ova.ts';
import { readOvfMachines } from './ovf-machine.ts';
import { openOvaPackage, openOvfPackage } from './ovf-package.ts';
import { COPY_AGAIN, corruptImage, missingImage } from './refusal.ts';
import { readVmxMachine } from './vmx-machine.ts';

const HEAD_BYTES = 4096;

/** All machines that the path holds. Throws `image-…` errors, `digest-mismatch`, `source-not-off`. */
export async function readAppliance(path: string, options: ReadOptions): Promise<ApplianceMachine[]> {
  const file = await descriptorIn(resolve(path));
  const kind = await kindOf(file, options.signal);
  switch (kind) {
    case 'ova':
      return await readOvfMachines(await openOvaPackage(file, options.signal), options);
    case 'ovf':
      return await readOvfMachines(await openOvfPackage(file, options.signal), options);
    case 'vmx':
      return [await readVmxMachine(file, options)];
    case 'disk':
      return [await readBareMachine([{ path: file }], options)];
    default:
      return kind satisfies never;
  }
}

/** A folder stands for the one descriptor in it. */
async function descriptorIn(path: string): Promise<string> {
  const isFolder = await stat(path).then(
    (stats) => stats.isDirectory(),
    () => false, // Whoever opens it says what is wrong.
  );
  if (!isFolder) return path;
  const names = await listNames(path);
  const ovfs = names.filter((name) => /\.ovf$/i.test(name));
  const [first, ...more] = ovfs.length > 0 ? ovfs : names.filter((name) => /\.vmx$/i.test(name));
  if (first !== undefined && more.length === 0) return join(path, first);
  throw missingImage({
    label: path,
    found:
      first === undefined
        ? 'this folder holds no .ovf and no .vmx'
        : `this folder holds ${more.length + 1} machines: ${[first, ...more].slice(0, 10).join(', ')}`,
    remedy: 'Name the appliance or the disk image itself.',
  });
}

async function kindOf(path: string, signal: AbortSignal): Promise<'ova' | 'ovf' | 'vmx' | 'disk'> {
  const slice = { path, offsetBytes: 0, lengthBytes: null };
  const head = await readHead({ slice, label: path }, { lengthBytes: HEAD_BYTES, signal });
  if (isTarHead(head)) return 'ova';
  const text = head.toString('latin1').replaceAll('\0', '');
  if (/^[^\w<]*<(\?xml|!--|!DOCTYPE|([\w-]+:)?Envelope)/i.test(text)) return 'ovf';
  if (/^\s*(\.encoding|config\.version|virtualHW\.version)\s*=/im.test(text)) return 'vmx';
  switch (extname(path).toLowerCase()) {
    case '.ova':
      throw corruptImage({
        label: path,
        found:
          'it is named as an OVA, but does not begin as the tar that an OVA is: it is cut off or damaged',
        remedy: COPY_AGAIN,
      });
    case '.ovf':
      return 'ovf';
    case '.vmx':
      return 'vmx';
    default:
      return 'disk';
  }
}
