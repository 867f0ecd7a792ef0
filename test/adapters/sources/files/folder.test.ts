import { mkdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { filesMachineOptionsSchema } from '../../../../adapters/sources/files/options.ts';
import { createStepContext } from '../../../fakes/step-context.ts';
import { convertDisk, makeRawDisk, makeStreamVmdk, packOva } from '../../../images/make-appliance.ts';
import { type MachineFolder, openMachineFolder } from './machine-folder.ts';

let folder: MachineFolder;
beforeEach(async () => {
  folder = await openMachineFolder();
  await mkdir(folder.at('exports'));
});
afterEach(() => folder[Symbol.asyncDispose]());

const names = async (from: { folder: string; name?: string }): Promise<string[]> => {
  const found = await folder.openSource().machines(from, AbortSignal.timeout(20_000));
  return found.map(({ name }) => name);
};

async function makeImage(name: string, format: string, subformat?: string): Promise<void> {
  const raw = await makeRawDisk(folder.at('scratch', 'raw'));
  await convertDisk({
    from: raw,
    to: folder.at('exports', name),
    format,
    ...(subformat === undefined ? {} : { subformat }),
  });
}

describe('a folder', () => {
  it('is all its appliances, and the disk images that belong to none of them', async () => {
    const { vmdk } = await makeStreamVmdk(folder.at('d0.vmdk'));
    const ovf = await folder.writeOvf({});
    await packOva(folder.at('exports', 'archive.ova'), [ovf, vmdk]);
    await mkdir(folder.at('exports', 'machine'));
    await rename(ovf, folder.at('exports', 'machine', 'machine.ovf'));
    await rename(vmdk, folder.at('exports', 'machine', 'd0.vmdk'));
    await makeImage('web02.qcow2', 'qcow2');
    await makeImage('web01.qcow2', 'qcow2');
    await writeFile(folder.at('exports', 'readme.txt'), 'not a disk');
    expect(await names({ folder: 'exports' })).toEqual(['shop', 'shop', 'web01', 'web02']);
    expect(await names({ folder: 'exports', name: 'web*' })).toEqual(['web01', 'web02']);
    expect(await names({ folder: 'exports', name: 'crm*' })).toEqual([]);
  });

  it('counts a split disk once, also where it is reached by a link', async () => {
    await makeImage('split.vmdk', 'vmdk', 'twoGbMaxExtentFlat');
    await symlink(folder.at('exports'), folder.at('link'));
    expect(await names({ folder: 'link' })).toEqual(['split']);
  });

  it('is not read as a whole for the one appliance that a run names', async () => {
    const { vmdk } = await makeStreamVmdk(folder.at('d0.vmdk'));
    await packOva(folder.at('exports', 'shop.ova'), [await folder.writeOvf({}), vmdk]);
    const from = { folder: 'exports', name: 'shop' };
    const [machine] = await folder.openSource().machines(from, AbortSignal.timeout(20_000));
    if (machine === undefined) throw new Error('shop was not found');
    await writeFile(folder.at('exports', 'other.ova'), 'somebody copies it here right now');
    const request = { from, machine, disk: '0', pass: 0, stagingFolder: folder.at('staging') };
    const image = await folder.openSource().export(request, createStepContext());
    expect(image.layout).toMatchObject({ file: { path: folder.at('exports', 'shop.ova') } });
    await expect(names({ folder: 'exports' })).rejects.toThrow(/other\.ova/);
  });

  it('says what it wants where nothing in it is a machine', async () => {
    await expect(names({ folder: 'exports' })).rejects.toThrow(
      /exports holds no appliance and no disk image .*\.ova/,
    );
    await rm(folder.at('exports'), { recursive: true });
    await expect(names({ folder: 'exports' })).rejects.toThrow(/exports/);
  });

  it('is given alone', () => {
    const judged = filesMachineOptionsSchema.safeParse({ folder: 'exports', path: 'web01.ova' });
    expect(judged.error?.issues[0]?.message).toBe('give one of `path`, `disks` and `folder`');
  });
});
