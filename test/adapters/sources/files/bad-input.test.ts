import { execFile } from 'node:child_process';
import { mkdir, readFile, rm, stat, symlink, truncate, writeFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createStepContext } from '../../../fakes/step-context.ts';
import {
  MIB,
  makeStreamVmdk,
  manifestText,
  packOva,
  TAR_END,
  tarEntry,
} from '../../../images/make-appliance.ts';
import { DISK, type MachineFolder, openMachineFolder, SYSTEM } from './machine-folder.ts';

const run = promisify(execFile);

let folder: MachineFolder;
beforeEach(async () => {
  folder = await openMachineFolder();
});
afterEach(() => folder[Symbol.asyncDispose]());

describe('bad input', () => {
  it.each([
    ['a file that is not there', 'nowhere.img', 'image-missing'],
    ['an appliance that is not there', 'nowhere.ova', 'image-missing'],
    ['a folder without a machine', 'scratch', 'image-missing'],
    ['a path through a file', 'file/x.ova', 'image-missing'],
    ['an empty file', 'empty.img', 'image-corrupt'],
    ['an OVA that is none', 'file.ova', 'image-corrupt'],
  ])('is refused: %s', async (_, path, code) => {
    await writeFile(folder.at('file'), 'text');
    await writeFile(folder.at('file.ova'), 'text');
    await writeFile(folder.at('empty.img'), '');
    await expect(folder.machines({ path })).rejects.toMatchObject({
      code,
      message: expect.stringContaining(folder.at(path)),
    });
  });

  it('is refused: a folder with two machines', async () => {
    await writeFile(folder.at('a.ovf'), '');
    await writeFile(folder.at('b.ovf'), '');
    await expect(folder.machines({ path: '.' })).rejects.toMatchObject({
      message: expect.stringMatching(/a\.ovf, b\.ovf/),
    });
  });

  it('is refused: a disk of the descriptor that is missing, with its line', async () => {
    await folder.writeOvf({});
    await expect(folder.machines({ path: 'shop.ovf' })).rejects.toMatchObject({
      code: 'image-missing',
      message: expect.stringMatching(/shop\.ovf, line 4.*d0\.vmdk/),
    });
    const ova = await packOva(folder.at('shop.ova'), [folder.at('shop.ovf')]);
    await expect(folder.machines({ path: ova })).rejects.toMatchObject({
      code: 'image-missing',
      context: { member: 'd0.vmdk' },
    });
  });

  it('is refused: a folder in place of a disk', async () => {
    await mkdir(folder.at('d0.vmdk'));
    await folder.writeOvf({});
    await expect(folder.machines({ path: 'shop.ovf' })).rejects.toMatchObject({
      code: 'image-unreadable',
      message: expect.stringContaining('folder'),
    });
  });

  it('is refused: a disk of the descriptor that is a link out of its folder', async () => {
    const { vmdk } = await makeStreamVmdk(folder.at('scratch', 'd0.vmdk'));
    await symlink(vmdk, folder.at('d0.vmdk'));
    await folder.writeOvf({});
    await expect(folder.machines({ path: 'shop.ovf' })).rejects.toMatchObject({
      code: 'image-hostile',
      message: expect.stringContaining('link'),
    });
  });

  it('is refused: a wrong digest, before anything is started', async () => {
    const { vmdk } = await makeStreamVmdk(folder.at('d0.vmdk'));
    const ovf = await folder.writeOvf({});
    await writeFile(folder.at('shop.mf'), await manifestText([ovf, vmdk]));
    const bytes = await readFile(ovf);
    await writeFile(ovf, Buffer.concat([bytes, Buffer.from('<!-- changed -->\n')]));
    await expect(folder.machines({ path: 'shop.ovf' })).rejects.toMatchObject({
      code: 'digest-mismatch',
      context: { file: folder.at('shop.mf'), member: 'shop.ovf' },
    });
    await packOva(folder.at('shop.ova'), [ovf, folder.at('shop.mf'), vmdk]);
    await expect(folder.machines({ path: 'shop.ova' })).rejects.toMatchObject({
      code: 'digest-mismatch',
      context: { file: `${folder.at('shop.ova')}!shop.mf` },
    });
  });

  it('is found out again at export, which says that it reads', async () => {
    const { vmdk } = await makeStreamVmdk(folder.at('d0.vmdk'));
    await writeFile(folder.at('shop.mf'), await manifestText([await folder.writeOvf({}), vmdk]));
    const from = { path: 'shop.ovf' };
    const request = {
      from,
      machine: await folder.onlyMachine(from),
      disk: '0',
      pass: 0,
      stagingFolder: folder.at('staging'),
    };
    const known = createStepContext();
    await folder.openSource().export(request, known);
    expect(known.reports).toEqual([]);
    await rm(folder.at('verdicts'), { recursive: true });
    const fresh = createStepContext();
    await folder.openSource().export(request, fresh);
    expect(fresh.reports.at(-1)).toEqual({
      doneBytes: 0,
      totalBytes: 4 * MIB,
      note: 'checking the manifest: 100 %',
    });
    await writeFile(folder.at('shop.mf'), `SHA1(d0.vmdk)= ${'0'.repeat(40)}\n`);
    await expect(folder.openSource().export(request, createStepContext())).rejects.toMatchObject({
      code: 'digest-mismatch',
    });
  });

  it('is no obstacle: a certificate beside the manifest', async () => {
    const { vmdk } = await makeStreamVmdk(folder.at('d0.vmdk'));
    const ovf = await folder.writeOvf({});
    await writeFile(folder.at('shop.mf'), await manifestText([ovf, vmdk], 'SHA1'));
    await writeFile(folder.at('shop.cert'), 'SHA1(shop.mf)= 00\n-----BEGIN CERTIFICATE-----\n');
    await packOva(folder.at('shop.ova'), [ovf, folder.at('shop.mf'), folder.at('shop.cert'), vmdk]);
    expect((await folder.onlyMachine({ path: 'shop.ova' })).name).toBe('shop');
  });

  it('is refused: an OVA that is cut off', async () => {
    const { vmdk } = await makeStreamVmdk(folder.at('d0.vmdk'));
    const ova = await packOva(folder.at('shop.ova'), [await folder.writeOvf({}), vmdk]);
    await truncate(ova, (await stat(ova)).size - 64 * 1024);
    await expect(folder.machines({ path: ova })).rejects.toMatchObject({
      code: 'image-corrupt',
      context: { member: 'd0.vmdk' },
    });
  });

  it.each([
    ['a backing file', ['-b', '/etc/passwd', '-F', 'raw'], /backing file/],
    ['a data file', ['-o', 'data_file=secret.raw'], /data file/],
  ])('is refused: a disk in an OVA with %s, named by archive and member', async (_, options, message) => {
    await run('qemu-img', ['create', '-f', 'qcow2', ...options, 'd0.vmdk', '4M'], { cwd: folder.path });
    await packOva(folder.at('shop.ova'), [await folder.writeOvf({}), folder.at('d0.vmdk')]);
    await expect(folder.machines({ path: 'shop.ova' })).rejects.toMatchObject({
      code: 'image-hostile',
      message: expect.stringMatching(message),
      context: { image: `${folder.at('shop.ova')}!d0.vmdk` },
    });
  });

  it('is refused: a disk whose extent is a foreign file, in a folder, in an OVA and in a VMX', async () => {
    const descriptor =
      '# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\ncreateType="monolithicFlat"\nRW 8192 FLAT "/etc/passwd" 0\n';
    await writeFile(folder.at('d0.vmdk'), descriptor);
    const ovf = await folder.writeOvf({});
    await packOva(folder.at('scratch', 'shop.ova'), [ovf, folder.at('d0.vmdk')]);
    await writeFile(
      folder.at('a.vmx'),
      'memSize = "4"\nide0:0.present = "TRUE"\nide0:0.fileName = "d0.vmdk"\n',
    );
    for (const path of ['shop.ovf', 'scratch/shop.ova', 'a.vmx', 'd0.vmdk']) {
      await expect(folder.machines({ path })).rejects.toMatchObject({ code: 'image-hostile' });
    }
  });

  it.each([
    ['../secret.vmdk', 'image-hostile'],
    ['/etc/passwd', 'image-hostile'],
    ['C:\\vm\\d0.vmdk', 'image-hostile'],
    ['gone.vmdk', 'image-missing'],
  ])('is refused: a VMX that names %s, with its line', async (file, code) => {
    await writeFile(
      folder.at('a.vmx'),
      `memSize = "4"\nide0:0.present = "TRUE"\nide0:0.fileName = "${file}"\n`,
    );
    await expect(folder.machines({ path: 'a.vmx' })).rejects.toMatchObject({
      code,
      message: expect.stringContaining('a.vmx, line 3'),
    });
  });

  it('is taken: a VMX that names a disk in its own folder by its absolute path', async () => {
    const { vmdk } = await makeStreamVmdk(folder.at('d0.vmdk'));
    await writeFile(
      folder.at('a.vmx'),
      `memSize = "4"\nide0:0.present = "TRUE"\nide0:0.fileName = "${vmdk}"\n`,
    );
    expect((await folder.onlyMachine({ path: 'a.vmx' })).disks).toMatchObject([{ file: vmdk }]);
  });

  it('is refused: a disk larger than its descriptor says', async () => {
    await makeStreamVmdk(folder.at('d0.vmdk'), 4 * MIB);
    await folder.writeOvf({ disks: [{ ...DISK, capacity: String(4 * MIB - 512) }] });
    await expect(folder.machines({ path: 'shop.ovf' })).rejects.toMatchObject({
      code: 'image-corrupt',
      message: expect.stringMatching(/line 8.*capacity of 4193792 bytes.*4194304/),
    });
  });

  it('is refused: XML that declares a document type, two machines of one name, no descriptor, two descriptors', async () => {
    const { vmdk } = await makeStreamVmdk(folder.at('d0.vmdk'));
    const ovf = await folder.writeOvf({ systems: [SYSTEM, { ...SYSTEM, id: 'vm2' }] });
    await expect(folder.machines({ path: ovf })).rejects.toMatchObject({
      code: 'image-corrupt',
      message: expect.stringContaining('second virtual system'),
    });
    await writeFile(ovf, '<?xml version="1.0"?>\n<!DOCTYPE x SYSTEM "file:///etc/passwd">\n<Envelope/>');
    await expect(folder.machines({ path: ovf })).rejects.toMatchObject({
      code: 'image-hostile',
      context: { line: 2 },
    });
    await packOva(folder.at('none.ova'), [vmdk]);
    await expect(folder.machines({ path: 'none.ova' })).rejects.toMatchObject({
      code: 'image-corrupt',
      message: expect.stringContaining('d0.vmdk'),
    });
    await writeFile(
      folder.at('two.ova'),
      Buffer.concat([tarEntry({ path: 'a.ovf' }), tarEntry({ path: 'b.ovf' }), TAR_END]),
    );
    await expect(folder.machines({ path: 'two.ova' })).rejects.toMatchObject({
      code: 'image-corrupt',
      message: expect.stringContaining('a.ovf, b.ovf'),
    });
  });

  it('is refused: a descriptor and a manifest beyond their honest size', async () => {
    const huge = Buffer.alloc(5 * MIB, ' ');
    await writeFile(folder.at('huge.ova'), Buffer.concat([tarEntry({ path: 'a.ovf' }, huge), TAR_END]));
    await expect(folder.machines({ path: 'huge.ova' })).rejects.toMatchObject({ code: 'image-hostile' });
    const parts = [tarEntry({ path: 'a.ovf' }, '<Envelope/>'), tarEntry({ path: 'a.mf' }, huge), TAR_END];
    await writeFile(folder.at('mf.ova'), Buffer.concat(parts));
    await expect(folder.machines({ path: 'mf.ova' })).rejects.toMatchObject({
      code: 'image-hostile',
      context: { image: `${folder.at('mf.ova')}!a.mf` },
    });
  });
});
