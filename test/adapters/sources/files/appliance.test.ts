import { readdir, rename, rm, writeFile } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createStepContext } from '../../../fakes/step-context.ts';
import {
  convertDisk,
  item,
  MIB,
  makeRawDisk,
  makeStreamVmdk,
  packOva,
} from '../../../images/make-appliance.ts';
import { DISK, type MachineFolder, openMachineFolder, SYSTEM } from './machine-folder.ts';

let folder: MachineFolder;
beforeEach(async () => {
  folder = await openMachineFolder();
});
afterEach(() => folder[Symbol.asyncDispose]());

describe('an appliance', () => {
  it('is the same as OVA, as OVF, and as the folder that holds it', async () => {
    const { raw, vmdk } = await makeStreamVmdk(folder.at('d0.vmdk'));
    await rename(raw, folder.at('scratch', 'raw'));
    const ovf = await folder.writeOvf({});
    const ova = await packOva(folder.at('scratch', 'shop.ova'), [ovf, vmdk]);
    const [fromOva, fromOvf, fromFolder] = await Promise.all(
      [ova, ovf, folder.path].map((path) => folder.onlyMachine({ path })),
    );
    expect(fromFolder).toEqual(fromOvf);
    expect(fromOva).toEqual({
      ...fromOvf,
      identity: `files:${ova}#shop`,
      disks: [{ ...fromOvf?.disks[0], file: `${ova}!d0.vmdk` }],
    });
    expect(fromOvf).toMatchObject({
      name: 'shop',
      cpus: 2,
      disks: [{ format: 'vmdk', file: vmdk, bytes: 4 * MIB }],
    });
  });

  it('is told by its content, whatever its name', async () => {
    const { vmdk } = await makeStreamVmdk(folder.at('d0.vmdk'));
    await packOva(folder.at('archive'), [await folder.writeOvf({}), vmdk]);
    expect((await folder.onlyMachine({ path: 'archive' })).name).toBe('shop');
  });

  it('is read in place: the image is a slice of the archive', async () => {
    const { raw, vmdk } = await makeStreamVmdk(folder.at('d0.vmdk'));
    const ova = await packOva(folder.at('shop.ova'), [await folder.writeOvf({}), vmdk]);
    const from = { path: 'shop.ova' };
    const request = {
      from,
      machine: await folder.onlyMachine(from),
      disk: '0',
      pass: 0,
      stagingFolder: folder.at('staging'),
    };
    const image = await folder.openSource().export(request, createStepContext());
    await rm(vmdk);
    expect(image.layout).toEqual({
      kind: 'single',
      format: 'vmdk',
      file: { path: ova, offsetBytes: expect.any(Number), lengthBytes: expect.any(Number) },
    });
    expect(await folder.equalsRaw(image, raw)).toBe(true);
    expect(await readdir(folder.path)).not.toContain('staging');
  });

  it('has blank disks without a file, which read as zeros', async () => {
    await makeStreamVmdk(folder.at('d0.vmdk'));
    const disks = [DISK, { id: 'd1', href: null, capacity: '2', units: 'byte * 2^20' }];
    await folder.writeOvf({ disks, systems: [{ ...SYSTEM, disks: ['d0', 'd1'] }] });
    const from = { path: 'shop.ovf' };
    const machine = await folder.onlyMachine(from);
    expect(machine.disks[1]).toEqual({ id: '1', bytes: 2 * MIB, format: 'blank', file: null, boots: false });
    const request = { from, machine, disk: '1', pass: 0, stagingFolder: folder.at('staging') };
    const image = await folder.openSource().export(request, createStepContext());
    await writeFile(folder.at('zeros'), Buffer.alloc(2 * MIB));
    expect(await folder.equalsRaw(image, folder.at('zeros'))).toBe(true);
  });

  it('may hold several machines, of which the wave chooses one', async () => {
    await makeStreamVmdk(folder.at('d0.vmdk'));
    await makeStreamVmdk(folder.at('d1.vmdk'));
    const disks = [DISK, { ...DISK, id: 'd1', href: 'd1.vmdk' }];
    const systems = [SYSTEM, { id: 'vm2', name: 'db', disks: ['d1'] }];
    await folder.writeOvf({ disks, systems });
    expect((await folder.machines({ path: 'shop.ovf' })).map(({ name }) => name)).toEqual(['shop', 'db']);
    expect(await folder.machines({ path: 'shop.ovf', name: 'db' })).toMatchObject([
      { name: 'db', disks: [{ file: folder.at('d1.vmdk') }] },
    ]);
    await expect(folder.machines({ path: 'shop.ovf', name: 'web' })).rejects.toMatchObject({
      code: 'not-found',
      message: expect.stringMatching(/shop, db/),
    });
  });

  it('may bring flat disks with an extent beside them', async () => {
    const raw = await makeRawDisk(folder.at('scratch', 'raw'));
    await convertDisk({ from: raw, to: folder.at('d0.vmdk'), format: 'vmdk', subformat: 'monolithicFlat' });
    await folder.writeOvf({});
    expect((await folder.onlyMachine({ path: 'shop.ovf' })).disks).toMatchObject([
      { format: 'vmdk', bytes: 4 * MIB },
    ]);
  });

  it('names its nics', async () => {
    await makeStreamVmdk(folder.at('d0.vmdk'));
    const hardware = item({ Connection: 'DMZ', InstanceID: 99, ResourceType: 10 });
    await folder.writeOvf({ systems: [{ ...SYSTEM, hardware }] });
    expect((await folder.onlyMachine({ path: 'shop.ovf' })).nics).toEqual([
      { network: 'VM Network', model: 'VmxNet3', mac: '00:50:56:ab:cd:ef' },
      { network: 'DMZ', model: null, mac: null },
    ]);
  });
});
