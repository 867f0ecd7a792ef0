import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  convertDisk,
  gzipFile,
  MIB,
  makeRawDisk,
  makeStreamVmdk,
  manifestText,
  ovfText,
  packOva,
} from '../../../images/make-appliance.ts';
import { describeSourceContract } from '../contract.ts';
import { type Made, openFilesGround } from './ground.ts';

/** Two disks in place and one that gzip compressed, with a manifest. */
async function makeOva(folder: string): Promise<Made> {
  const system = await makeStreamVmdk(join(folder, 'disk-0.vmdk'));
  const data = await makeStreamVmdk(join(folder, 'disk-1.vmdk'), 6 * MIB);
  const packed = await makeStreamVmdk(join(folder, 'disk-2.vmdk'), 3 * MIB);
  const ovf = join(folder, 'shop.ovf');
  const disks = [
    { id: 'd0', href: 'disk-0.vmdk', capacity: String(4 * MIB) },
    { id: 'd1', href: 'disk-1.vmdk', capacity: '6', units: 'byte * 2^20' },
    {
      id: 'd2',
      href: 'disk-2.vmdk.gz',
      capacity: '3',
      units: 'byte * 2^20',
      fileAttributes: 'ovf:compression="gzip"',
    },
  ];
  await writeFile(
    ovf,
    ovfText({ disks, systems: [{ id: 'vm', name: 'shop-db', disks: ['d0', 'd1', 'd2'] }] }),
  );
  const members = [ovf, system.vmdk, data.vmdk, await gzipFile(packed.vmdk, `${packed.vmdk}.gz`)];
  const manifest = join(folder, 'shop.mf');
  await writeFile(manifest, await manifestText(members));
  await packOva(join(folder, 'shop.ova'), [ovf, manifest, ...members.slice(1)]);
  return { from: { path: 'shop.ova' }, contents: { '0': system.raw, '1': data.raw, '2': packed.raw } };
}

/** Disks of several formats, without a description. */
async function makeBareDisks(folder: string): Promise<Made> {
  const raw = await makeRawDisk(join(folder, 'a.img'));
  const other = await makeRawDisk(join(folder, 'b.raw'), 5 * MIB);
  const qcow2 = await convertDisk({ from: other, to: join(folder, 'b.qcow2'), format: 'qcow2' });
  const split = join(folder, 'c.vmdk');
  await convertDisk({ from: raw, to: split, format: 'vmdk', subformat: 'twoGbMaxExtentSparse' });
  const disks = [{ path: 'b.qcow2' }, { path: 'a.img', format: 'raw' }, { path: 'c.vmdk' }];
  return {
    from: { disks, firmware: 'uefi' },
    contents: { '0': qcow2.replace('qcow2', 'raw'), '1': raw, '2': raw },
  };
}

async function makeVmx(folder: string): Promise<Made> {
  const raw = await makeRawDisk(join(folder, 'raw', 'web.raw'));
  const flat = join(folder, 'web.vmdk');
  await convertDisk({ from: raw, to: flat, format: 'vmdk', subformat: 'monolithicFlat' });
  const lines = [
    'displayName = "web"',
    'memSize = "512"',
    'sata0:0.present = "TRUE"',
    'sata0:0.fileName = "web.vmdk"',
  ];
  await writeFile(join(folder, 'web.vmx'), `${lines.join('\n')}\n`);
  return { from: { path: '.' }, contents: { '0': raw } };
}

describeSourceContract('files, an OVA with a manifest', () => openFilesGround(makeOva));
describeSourceContract('files, bare disks', () => openFilesGround(makeBareDisks));
describeSourceContract('files, a folder with a VMX', () => openFilesGround(makeVmx));
