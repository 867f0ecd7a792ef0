import { chmod, readdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Machine } from '../../src/domain/machine.ts';
import { inspectPath } from '../../src/images/inspect-appliance.ts';
import { findNeighbour } from '../../src/images/neighbour-file.ts';
import {
  gzipFile,
  MIB,
  makeRawDisk,
  makeStreamVmdk,
  makeTempFolder,
  manifestText,
  ovfText,
  packOva,
  type TempFolder,
} from './make-appliance.ts';

const live = new AbortController().signal;
let folder: TempFolder;

beforeEach(async () => {
  folder = await makeTempFolder();
});
afterEach(async () => {
  await folder[Symbol.asyncDispose]();
});

function inspect(path: string): Promise<Machine[]> {
  return inspectPath({ path, cacheFolder: join(folder.path, 'cache'), signal: live });
}

describe('inspecting a path', () => {
  it('shows every machine of an OVA as plain data', async () => {
    const { vmdk } = await makeStreamVmdk(join(folder.path, 'd0.vmdk'));
    const ovf = join(folder.path, 'shop.ovf');
    const disks = [
      { id: 'd0', href: 'd0.vmdk', capacity: String(4 * MIB) },
      { id: 'd1', href: null, capacity: String(2 * MIB) },
    ];
    const systems = [
      { id: 'a', name: 'shop-web', disks: ['d0'] },
      { id: 'b', name: 'shop-db', disks: ['d1'], cpus: 1 },
    ];
    await writeFile(ovf, ovfText({ disks, systems }));
    const manifest = join(folder.path, 'shop.mf');
    await writeFile(manifest, await manifestText([ovf, vmdk], 'SHA512'));
    const ova = await packOva(join(folder.path, 'shop.ova'), [ovf, manifest, vmdk]);
    expect(JSON.parse(JSON.stringify(await inspect(ova)))).toMatchObject([
      {
        name: 'shop-web',
        firmware: 'bios',
        cpus: 2,
        memoryBytes: 512 * MIB,
        disks: [{ id: '0', bytes: 4 * MIB, format: 'vmdk', file: `${ova}!d0.vmdk` }],
        nics: [{ network: 'VM Network', model: 'VmxNet3', mac: '00:50:56:ab:cd:ef' }],
      },
      { name: 'shop-db', cpus: 1, disks: [{ id: '0', bytes: 2 * MIB, format: 'blank', file: null }] },
    ]);
    expect(await readdir(join(folder.path, 'cache', 'verdicts'))).toHaveLength(1);
  });

  it('is no worse where the cache cannot be written', async () => {
    await writeFile(join(folder.path, 'cache'), 'a file in the way');
    await gzipFile(await makeRawDisk(join(folder.path, 'd.img')), join(folder.path, 'd.img.gz'));
    expect(await inspect(join(folder.path, 'd.img.gz'))).toMatchObject([{ name: 'd' }]);
  });
});

describe('files beside a descriptor', () => {
  const find = (name: string) => findNeighbour({ folder: folder.path, name, label: 'm.ovf' });

  it('are found by their plain names, also by a link within the folder', async () => {
    await writeFile(join(folder.path, 'd.vmdk'), 'x');
    await symlink('d.vmdk', join(folder.path, 'link.vmdk'));
    expect(await find('d.vmdk')).toBe(join(folder.path, 'd.vmdk'));
    expect(await find('link.vmdk')).toBe(join(folder.path, 'link.vmdk'));
    expect(await find('gone.vmdk')).toBe(null);
  });

  it('are told apart: not there, and there but out of reach', async () => {
    await symlink('loop.vmdk', join(folder.path, 'loop.vmdk'));
    await expect(find('loop.vmdk')).rejects.toMatchObject({
      code: 'image-unreadable',
      context: { errno: 'ELOOP' },
    });
  });

  it('are refused with the remedy where this user may not read them', async () => {
    await makeRawDisk(join(folder.path, 'd.img'));
    await chmod(join(folder.path, 'd.img'), 0);
    // Root may read everything, so the test is somebody else for a moment.
    const isRoot = process.geteuid?.() === 0;
    if (isRoot) process.seteuid?.(65_534);
    try {
      await expect(inspect(join(folder.path, 'd.img'))).rejects.toMatchObject({
        code: 'image-unreadable',
        message: expect.stringMatching(/may not read it/),
      });
    } finally {
      if (isRoot) process.seteuid?.(0);
    }
  });
});
