import { execFile } from 'node:child_process';
import {
  mkdir,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  truncate,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { filesSource } from '../../../../adapters/sources/files/adapter.ts';
import { filesMachineOptionsSchema } from '../../../../adapters/sources/files/options.ts';
import type { Image } from '../../../../src/domain/image.ts';
import type { JsonObject } from '../../../../src/domain/json.ts';
import type { Machine } from '../../../../src/domain/machine.ts';
import { compareImages } from '../../../../src/images/qemu-img.ts';
import { createDurableState, createStepContext } from '../../../fakes/step-context.ts';
import {
  convertDisk,
  gzipFile,
  item,
  MIB,
  makeRawDisk,
  makeStreamVmdk,
  makeTempFolder,
  manifestText,
  type OvfDiskText,
  type OvfSystemText,
  ovfText,
  packOva,
  TAR_END,
  type TempFolder,
  tarEntry,
} from '../../../images/make-appliance.ts';
import { openFilesSource } from './ground.ts';

const run = promisify(execFile);
const live = new AbortController().signal;
const DISK: OvfDiskText = { id: 'd0', href: 'd0.vmdk', capacity: String(4 * MIB) };
const SYSTEM: OvfSystemText = { id: 'vm', name: 'shop', disks: ['d0'] };

let folder: TempFolder;
beforeEach(async () => {
  folder = await makeTempFolder();
  await mkdir(at('scratch'));
});
afterEach(() => folder[Symbol.asyncDispose]());

function at(...names: string[]): string {
  return join(folder.path, ...names);
}

function machines(from: JsonObject, signal = live): Promise<Machine[]> {
  return openFilesSource(folder.path).machines(from, signal);
}

async function onlyMachine(from: JsonObject): Promise<Machine> {
  const [machine, ...more] = await machines(from);
  if (machine === undefined || more.length > 0) throw new Error('not one machine');
  return machine;
}

/** Writes an OVF into the folder, with a disk unless told otherwise. */
async function writeOvf({
  disks = [DISK],
  systems = [SYSTEM],
}: {
  disks?: readonly OvfDiskText[];
  systems?: readonly OvfSystemText[];
}): Promise<string> {
  await writeFile(at('shop.ovf'), ovfText({ disks, systems }));
  return at('shop.ovf');
}

async function equalsRaw(image: Image, raw: string): Promise<boolean> {
  await using opened = await openFilesSource(folder.path).open(image, live);
  const left = { format: 'raw', file: { path: raw, offsetBytes: 0, lengthBytes: null } } as const;
  return await compareImages({ left, right: { uri: opened.uri }, signal: live });
}

describe('a disk image', () => {
  it.each([
    ['qcow2', undefined, 'qcow2'],
    ['vmdk', 'monolithicSparse', 'vmdk'],
    ['vmdk', 'streamOptimized', 'vmdk'],
    ['vmdk', 'twoGbMaxExtentFlat', 'vmdk'],
    ['vpc', 'dynamic', 'vhd'],
    ['vpc', 'fixed', 'vhd'],
    ['vhdx', 'dynamic', 'vhdx'],
  ])('in %s (%s) is told by its content, plain and compressed', async (format, subformat, told) => {
    const raw = await makeRawDisk(at('reference'), 8 * MIB);
    const path = at('disk.bin');
    await convertDisk({ from: raw, to: path, format, ...(subformat === undefined ? {} : { subformat }) });
    const froms = [path];
    if (subformat !== 'twoGbMaxExtentFlat') froms.push(await gzipFile(path, at('packed')));
    for (const from of froms) {
      const machine = await onlyMachine({ path: from });
      expect(machine.disks).toMatchObject([{ id: '0', format: told, file: from, boots: true }]);
      // VHDs round up to whole cylinders.
      expect(machine.disks[0]?.bytes).toBeGreaterThanOrEqual(8 * MIB);
      const request = { from: { path: from }, machine, disk: '0', pass: 0, stagingFolder: at('staging') };
      const image = await openFilesSource(folder.path).export(request, createStepContext());
      expect(await equalsRaw(image, raw)).toBe(true);
    }
  });

  it('makes a machine of defaults, called as its file, which the wave can override', async () => {
    await makeRawDisk(at('web01.img'));
    const path = at('web01.img');
    expect(await onlyMachine({ path: 'web01.img' })).toEqual({
      name: 'web01',
      uuid: null,
      identity: `files:${path}#web01`,
      firmware: 'bios',
      secureBoot: false,
      cpus: 1,
      memoryBytes: 2 ** 30,
      os: null,
      disks: [{ id: '0', bytes: 4 * MIB, format: 'raw', file: path, boots: true }],
      nics: [],
    });
    const wanted = {
      path: 'web01.img',
      firmware: 'uefi',
      secureBoot: true,
      cpus: 3,
      memory: '1.5GiB',
      os: 'windows2022',
    };
    expect(await onlyMachine(wanted)).toMatchObject({
      firmware: 'uefi',
      secureBoot: true,
      cpus: 3,
      memoryBytes: 1.5 * 2 ** 30,
      os: 'windows2022',
    });
  });

  it.each([
    ['uefi', ['type=U']],
    ['bios', ['type=U,size=1MiB', 'type=21686148-6449-6E6F-744E-656564454649']],
    ['bios', ['type=L']],
  ])('boots by %s where its partition table is %j', async (firmware, partitions) => {
    const disk = await makeRawDisk(at('d.img'), 8 * MIB);
    const script = ['label: gpt', ...partitions].join('\n');
    await run('sh', ['-c', `printf '%s\n' "$2" | sfdisk -q "$1"`, 'sh', disk, script]);
    expect((await onlyMachine({ path: 'd.img' })).firmware).toBe(firmware);
  });

  it('that looks like another format is taken as raw where the wave says so', async () => {
    const qcow2 = await convertDisk({ from: await makeRawDisk(at('r')), to: at('d.img'), format: 'qcow2' });
    await truncate(qcow2, 8 * MIB);
    expect((await onlyMachine({ disks: [{ path: 'd.img', format: 'raw' }] })).disks[0]).toMatchObject({
      bytes: 8 * MIB,
      format: 'raw',
    });
  });

  it('has the same identity by whatever path it is reached', async () => {
    await makeRawDisk(at('web.img'));
    await symlink(at('web.img'), at('link'));
    await mkdir(at('sub'));
    const found = await Promise.all(['web.img', 'sub/../web.img'].map((path) => onlyMachine({ path })));
    expect(new Set(found.map(({ identity }) => identity)).size).toBe(1);
    expect((await onlyMachine({ path: 'link' })).identity).toContain(at('web.img'));
  });
});

describe('an appliance', () => {
  it('is the same as OVA, as OVF, and as the folder that holds it', async () => {
    const { raw, vmdk } = await makeStreamVmdk(at('d0.vmdk'));
    await rename(raw, at('scratch', 'raw'));
    const ovf = await writeOvf({});
    const ova = await packOva(at('scratch', 'shop.ova'), [ovf, vmdk]);
    const [fromOva, fromOvf, fromFolder] = await Promise.all(
      [ova, ovf, folder.path].map((path) => onlyMachine({ path })),
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
    const { vmdk } = await makeStreamVmdk(at('d0.vmdk'));
    await packOva(at('archive'), [await writeOvf({}), vmdk]);
    expect((await onlyMachine({ path: 'archive' })).name).toBe('shop');
  });

  it('is read in place: the image is a slice of the archive', async () => {
    const { raw, vmdk } = await makeStreamVmdk(at('d0.vmdk'));
    const ova = await packOva(at('shop.ova'), [await writeOvf({}), vmdk]);
    const from = { path: 'shop.ova' };
    const request = {
      from,
      machine: await onlyMachine(from),
      disk: '0',
      pass: 0,
      stagingFolder: at('staging'),
    };
    const image = await openFilesSource(folder.path).export(request, createStepContext());
    await rm(vmdk);
    expect(image.layout).toEqual({
      kind: 'single',
      format: 'vmdk',
      file: { path: ova, offsetBytes: expect.any(Number), lengthBytes: expect.any(Number) },
    });
    expect(await equalsRaw(image, raw)).toBe(true);
    expect(await readdir(folder.path)).not.toContain('staging');
  });

  it('has blank disks without a file, which read as zeros', async () => {
    await makeStreamVmdk(at('d0.vmdk'));
    const disks = [DISK, { id: 'd1', href: null, capacity: '2', units: 'byte * 2^20' }];
    await writeOvf({ disks, systems: [{ ...SYSTEM, disks: ['d0', 'd1'] }] });
    const from = { path: 'shop.ovf' };
    const machine = await onlyMachine(from);
    expect(machine.disks[1]).toEqual({ id: '1', bytes: 2 * MIB, format: 'blank', file: null, boots: false });
    const request = { from, machine, disk: '1', pass: 0, stagingFolder: at('staging') };
    const image = await openFilesSource(folder.path).export(request, createStepContext());
    await writeFile(at('zeros'), Buffer.alloc(2 * MIB));
    expect(await equalsRaw(image, at('zeros'))).toBe(true);
  });

  it('may hold several machines, of which the wave chooses one', async () => {
    await makeStreamVmdk(at('d0.vmdk'));
    await makeStreamVmdk(at('d1.vmdk'));
    const disks = [DISK, { ...DISK, id: 'd1', href: 'd1.vmdk' }];
    const systems = [SYSTEM, { id: 'vm2', name: 'db', disks: ['d1'] }];
    await writeOvf({ disks, systems });
    expect((await machines({ path: 'shop.ovf' })).map(({ name }) => name)).toEqual(['shop', 'db']);
    expect(await machines({ path: 'shop.ovf', name: 'db' })).toMatchObject([
      { name: 'db', disks: [{ file: at('d1.vmdk') }] },
    ]);
    await expect(machines({ path: 'shop.ovf', name: 'web' })).rejects.toMatchObject({
      code: 'not-found',
      message: expect.stringMatching(/shop, db/),
    });
  });

  it('may bring flat disks with an extent beside them', async () => {
    const raw = await makeRawDisk(at('scratch', 'raw'));
    await convertDisk({ from: raw, to: at('d0.vmdk'), format: 'vmdk', subformat: 'monolithicFlat' });
    await writeOvf({});
    expect((await onlyMachine({ path: 'shop.ovf' })).disks).toMatchObject([
      { format: 'vmdk', bytes: 4 * MIB },
    ]);
  });

  it('names its nics', async () => {
    await makeStreamVmdk(at('d0.vmdk'));
    const hardware = item({ Connection: 'DMZ', InstanceID: 99, ResourceType: 10 });
    await writeOvf({ systems: [{ ...SYSTEM, hardware }] });
    expect((await onlyMachine({ path: 'shop.ovf' })).nics).toEqual([
      { network: 'VM Network', model: 'VmxNet3', mac: '00:50:56:ab:cd:ef' },
      { network: 'DMZ', model: null, mac: null },
    ]);
  });
});

describe('bad input', () => {
  it.each([
    ['a file that is not there', 'nowhere.img', 'image-missing'],
    ['an appliance that is not there', 'nowhere.ova', 'image-missing'],
    ['a folder without a machine', 'scratch', 'image-missing'],
    ['a path through a file', 'file/x.ova', 'image-missing'],
    ['an empty file', 'empty.img', 'image-corrupt'],
    ['an OVA that is none', 'file.ova', 'image-corrupt'],
  ])('is refused: %s', async (_, path, code) => {
    await writeFile(at('file'), 'text');
    await writeFile(at('file.ova'), 'text');
    await writeFile(at('empty.img'), '');
    await expect(machines({ path })).rejects.toMatchObject({
      code,
      message: expect.stringContaining(at(path)),
    });
  });

  it('is refused: a folder with two machines', async () => {
    await writeFile(at('a.ovf'), '');
    await writeFile(at('b.ovf'), '');
    await expect(machines({ path: '.' })).rejects.toMatchObject({
      message: expect.stringMatching(/a\.ovf, b\.ovf/),
    });
  });

  it('is refused: a disk of the descriptor that is missing, with its line', async () => {
    await writeOvf({});
    await expect(machines({ path: 'shop.ovf' })).rejects.toMatchObject({
      code: 'image-missing',
      message: expect.stringMatching(/shop\.ovf, line 4.*d0\.vmdk/),
    });
    const ova = await packOva(at('shop.ova'), [at('shop.ovf')]);
    await expect(machines({ path: ova })).rejects.toMatchObject({
      code: 'image-missing',
      context: { member: 'd0.vmdk' },
    });
  });

  it('is refused: a folder in place of a disk', async () => {
    await mkdir(at('d0.vmdk'));
    await writeOvf({});
    await expect(machines({ path: 'shop.ovf' })).rejects.toMatchObject({
      code: 'image-unreadable',
      message: expect.stringContaining('folder'),
    });
  });

  it('is refused: a disk of the descriptor that is a link out of its folder', async () => {
    const { vmdk } = await makeStreamVmdk(at('scratch', 'd0.vmdk'));
    await symlink(vmdk, at('d0.vmdk'));
    await writeOvf({});
    await expect(machines({ path: 'shop.ovf' })).rejects.toMatchObject({
      code: 'image-hostile',
      message: expect.stringContaining('link'),
    });
  });

  it('is refused: a wrong digest, before anything is started', async () => {
    const { vmdk } = await makeStreamVmdk(at('d0.vmdk'));
    const ovf = await writeOvf({});
    await writeFile(at('shop.mf'), await manifestText([ovf, vmdk]));
    const bytes = await readFile(ovf);
    await writeFile(ovf, Buffer.concat([bytes, Buffer.from('<!-- changed -->\n')]));
    await expect(machines({ path: 'shop.ovf' })).rejects.toMatchObject({
      code: 'digest-mismatch',
      context: { file: at('shop.mf'), member: 'shop.ovf' },
    });
    await packOva(at('shop.ova'), [ovf, at('shop.mf'), vmdk]);
    await expect(machines({ path: 'shop.ova' })).rejects.toMatchObject({
      code: 'digest-mismatch',
      context: { file: `${at('shop.ova')}!shop.mf` },
    });
  });

  it('is found out again at export, which says that it reads', async () => {
    const { vmdk } = await makeStreamVmdk(at('d0.vmdk'));
    await writeFile(at('shop.mf'), await manifestText([await writeOvf({}), vmdk]));
    const from = { path: 'shop.ovf' };
    const request = {
      from,
      machine: await onlyMachine(from),
      disk: '0',
      pass: 0,
      stagingFolder: at('staging'),
    };
    const known = createStepContext();
    await openFilesSource(folder.path).export(request, known);
    expect(known.reports).toEqual([]);
    await rm(at('verdicts'), { recursive: true });
    const fresh = createStepContext();
    await openFilesSource(folder.path).export(request, fresh);
    expect(fresh.reports.at(-1)).toEqual({
      doneBytes: 0,
      totalBytes: 4 * MIB,
      note: 'checking the manifest: 100 %',
    });
    await writeFile(at('shop.mf'), `SHA1(d0.vmdk)= ${'0'.repeat(40)}\n`);
    await expect(openFilesSource(folder.path).export(request, createStepContext())).rejects.toMatchObject({
      code: 'digest-mismatch',
    });
  });

  it('is no obstacle: a certificate beside the manifest', async () => {
    const { vmdk } = await makeStreamVmdk(at('d0.vmdk'));
    const ovf = await writeOvf({});
    await writeFile(at('shop.mf'), await manifestText([ovf, vmdk], 'SHA1'));
    await writeFile(at('shop.cert'), 'SHA1(shop.mf)= 00\n-----BEGIN CERTIFICATE-----\n');
    await packOva(at('shop.ova'), [ovf, at('shop.mf'), at('shop.cert'), vmdk]);
    expect((await onlyMachine({ path: 'shop.ova' })).name).toBe('shop');
  });

  it('is refused: an OVA that is cut off', async () => {
    const { vmdk } = await makeStreamVmdk(at('d0.vmdk'));
    const ova = await packOva(at('shop.ova'), [await writeOvf({}), vmdk]);
    await truncate(ova, (await stat(ova)).size - 64 * 1024);
    await expect(machines({ path: ova })).rejects.toMatchObject({
      code: 'image-corrupt',
      context: { member: 'd0.vmdk' },
    });
  });

  it.each([
    ['a backing file', ['-b', '/etc/passwd', '-F', 'raw'], /backing file/],
    ['a data file', ['-o', 'data_file=secret.raw'], /data file/],
  ])('is refused: a disk in an OVA with %s, named by archive and member', async (_, options, message) => {
    await run('qemu-img', ['create', '-f', 'qcow2', ...options, 'd0.vmdk', '4M'], { cwd: folder.path });
    await packOva(at('shop.ova'), [await writeOvf({}), at('d0.vmdk')]);
    await expect(machines({ path: 'shop.ova' })).rejects.toMatchObject({
      code: 'image-hostile',
      message: expect.stringMatching(message),
      context: { image: `${at('shop.ova')}!d0.vmdk` },
    });
  });

  it('is refused: a disk whose extent is a foreign file, in a folder, in an OVA and in a VMX', async () => {
    const descriptor =
      '# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\ncreateType="monolithicFlat"\nRW 8192 FLAT "/etc/passwd" 0\n';
    await writeFile(at('d0.vmdk'), descriptor);
    const ovf = await writeOvf({});
    await packOva(at('scratch', 'shop.ova'), [ovf, at('d0.vmdk')]);
    await writeFile(at('a.vmx'), 'memSize = "4"\nide0:0.present = "TRUE"\nide0:0.fileName = "d0.vmdk"\n');
    for (const path of ['shop.ovf', 'scratch/shop.ova', 'a.vmx', 'd0.vmdk']) {
      await expect(machines({ path })).rejects.toMatchObject({ code: 'image-hostile' });
    }
  });

  it.each([
    ['../secret.vmdk', 'image-hostile'],
    ['/etc/passwd', 'image-hostile'],
    ['C:\\vm\\d0.vmdk', 'image-hostile'],
    ['gone.vmdk', 'image-missing'],
  ])('is refused: a VMX that names %s, with its line', async (file, code) => {
    await writeFile(at('a.vmx'), `memSize = "4"\nide0:0.present = "TRUE"\nide0:0.fileName = "${file}"\n`);
    await expect(machines({ path: 'a.vmx' })).rejects.toMatchObject({
      code,
      message: expect.stringContaining('a.vmx, line 3'),
    });
  });

  it('is taken: a VMX that names a disk in its own folder by its absolute path', async () => {
    const { vmdk } = await makeStreamVmdk(at('d0.vmdk'));
    await writeFile(at('a.vmx'), `memSize = "4"\nide0:0.present = "TRUE"\nide0:0.fileName = "${vmdk}"\n`);
    expect((await onlyMachine({ path: 'a.vmx' })).disks).toMatchObject([{ file: vmdk }]);
  });

  it('is refused: a disk larger than its descriptor says', async () => {
    await makeStreamVmdk(at('d0.vmdk'), 4 * MIB);
    await writeOvf({ disks: [{ ...DISK, capacity: String(4 * MIB - 512) }] });
    await expect(machines({ path: 'shop.ovf' })).rejects.toMatchObject({
      code: 'image-corrupt',
      message: expect.stringMatching(/line 8.*capacity of 4193792 bytes.*4194304/),
    });
  });

  it('is refused: XML that declares a document type, two machines of one name, no descriptor, two descriptors', async () => {
    const { vmdk } = await makeStreamVmdk(at('d0.vmdk'));
    const ovf = await writeOvf({ systems: [SYSTEM, { ...SYSTEM, id: 'vm2' }] });
    await expect(machines({ path: ovf })).rejects.toMatchObject({
      code: 'image-corrupt',
      message: expect.stringContaining('second virtual system'),
    });
    await writeFile(ovf, '<?xml version="1.0"?>\n<!DOCTYPE x SYSTEM "file:///etc/passwd">\n<Envelope/>');
    await expect(machines({ path: ovf })).rejects.toMatchObject({
      code: 'image-hostile',
      context: { line: 2 },
    });
    await packOva(at('none.ova'), [vmdk]);
    await expect(machines({ path: 'none.ova' })).rejects.toMatchObject({
      code: 'image-corrupt',
      message: expect.stringContaining('d0.vmdk'),
    });
    await writeFile(
      at('two.ova'),
      Buffer.concat([tarEntry({ path: 'a.ovf' }), tarEntry({ path: 'b.ovf' }), TAR_END]),
    );
    await expect(machines({ path: 'two.ova' })).rejects.toMatchObject({
      code: 'image-corrupt',
      message: expect.stringContaining('a.ovf, b.ovf'),
    });
  });

  it('is refused: a descriptor and a manifest beyond their honest size', async () => {
    const huge = Buffer.alloc(5 * MIB, ' ');
    await writeFile(at('huge.ova'), Buffer.concat([tarEntry({ path: 'a.ovf' }, huge), TAR_END]));
    await expect(machines({ path: 'huge.ova' })).rejects.toMatchObject({ code: 'image-hostile' });
    const parts = [tarEntry({ path: 'a.ovf' }, '<Envelope/>'), tarEntry({ path: 'a.mf' }, huge), TAR_END];
    await writeFile(at('mf.ova'), Buffer.concat(parts));
    await expect(machines({ path: 'mf.ova' })).rejects.toMatchObject({
      code: 'image-hostile',
      context: { image: `${at('mf.ova')}!a.mf` },
    });
  });
});

describe('a compressed disk', () => {
  const from = { path: 'd.img.gz' };

  async function makePacked(bytes = 4 * MIB): Promise<string> {
    const raw = await makeRawDisk(at('d.img'), bytes);
    await gzipFile(raw, at('d.img.gz'));
    return raw;
  }

  async function exportPacked(state = createDurableState(), signal = live) {
    const machine = await onlyMachine(from);
    const context = createStepContext({ state, signal });
    const request = { from, machine, disk: '0', pass: 0, stagingFolder: at('staging', 'm') };
    return { machine, context, image: await openFilesSource(folder.path).export(request, context) };
  }

  it('is unpacked into staging, with holes for zeros, and given back by release', async () => {
    const raw = await makePacked(64 * MIB);
    const { machine, context, image } = await exportPacked();
    expect(await equalsRaw(image, raw)).toBe(true);
    const [name = ''] = await readdir(at('staging', 'm'));
    const { size, blocks } = await stat(at('staging', 'm', name));
    expect(size).toBe(64 * MIB);
    expect(blocks * 512).toBeLessThan(4 * MIB);
    expect(context.reports.every(({ doneBytes }) => doneBytes === 0)).toBe(true);
    expect(context.reports.at(-1)?.note).toBe('unpacking: 100 %');
    await openFilesSource(folder.path).release({ from, machine }, context);
    expect(await readdir(at('staging'))).toEqual([]);
  });

  it('is unpacked once; again only where the source changed', async () => {
    await makePacked();
    const first = await exportPacked();
    const before = await stat(pathOf(first.image));
    const second = await exportPacked();
    expect((await stat(pathOf(second.image))).ino).toBe(before.ino);
    expect(second.context.reports).toEqual([]);
    await utimes(at('d.img.gz'), new Date(), new Date(0));
    const third = await exportPacked();
    expect(pathOf(third.image)).not.toBe(pathOf(first.image));
    expect(await readdir(at('staging', 'm'))).toHaveLength(1);
  });

  it('leaves nothing whole behind when it is aborted, and what a killed attempt left is removed', async () => {
    const raw = await makePacked();
    await mkdir(at('staging', 'm'), { recursive: true });
    await writeFile(at('staging', 'm', '0-dead.img.1234.partial'), 'half');
    const machine = await onlyMachine(from);
    const abort = new AbortController();
    const reason = new Error('stop');
    const context = createStepContext({ signal: abort.signal });
    const report = () => abort.abort(reason);
    const request = { from, machine, disk: '0', pass: 0, stagingFolder: at('staging', 'm') };
    await expect(openFilesSource(folder.path).export(request, { ...context, report })).rejects.toBe(reason);
    expect(await readdir(at('staging', 'm'))).toEqual([]);
    const { image } = await exportPacked();
    expect(await equalsRaw(image, raw)).toBe(true);
  });

  it('is refused where it is cut off or damaged', async () => {
    await makePacked();
    const whole = await readFile(at('d.img.gz'));
    await writeFile(at('d.img.gz'), whole.subarray(0, whole.length - 5_000));
    await expect(machines(from)).rejects.toMatchObject({
      code: 'image-corrupt',
      message: expect.stringMatching(/d\.img\.gz.*cut off/),
    });
    whole.fill(0xff, 50_000, 50_100);
    await writeFile(at('d.img.gz'), whole);
    await expect(machines(from)).rejects.toMatchObject({ code: 'image-corrupt' });
  });

  it('is refused where the image inside is hostile', async () => {
    await run('qemu-img', ['create', '-f', 'qcow2', '-b', '/etc/passwd', '-F', 'raw', at('d.img'), '4M']);
    await gzipFile(at('d.img'), at('d.img.gz'));
    await expect(machines(from)).rejects.toMatchObject({
      code: 'image-hostile',
      context: { image: at('d.img.gz') },
    });
  });

  it('is refused where it swells beyond the capacity that its descriptor gives', async () => {
    await writeFile(at('d0.vmdk'), gzipSync(Buffer.alloc(100 * MIB)));
    await writeOvf({ disks: [{ ...DISK, fileAttributes: 'ovf:compression="gzip"' }] });
    await expect(machines({ path: 'shop.ovf' })).rejects.toMatchObject({
      code: 'image-hostile',
      message: expect.stringContaining('unpacks to more than'),
    });
  });

  it('is refused where staging has no space, before a byte is written', async () => {
    // 64 TiB less a bit: more than any test machine has, and quick to claim, since the verdict is made up here.
    await makePacked();
    const machine = await onlyMachine(from);
    const [verdict = ''] = await readdir(at('verdicts'));
    const kept = JSON.parse(await readFile(at('verdicts', verdict), 'utf8')) as JsonObject;
    await writeFile(at('verdicts', verdict), JSON.stringify({ ...kept, unpackedBytes: 2 ** 50 }));
    const request = { from, machine, disk: '0', pass: 0, stagingFolder: at('staging', 'm') };
    await expect(openFilesSource(folder.path).export(request, createStepContext())).rejects.toMatchObject({
      code: 'no-space',
      message: expect.stringMatching(/LANDFALL_STAGING/),
      context: { neededBytes: 2 ** 50 },
    });
    expect(await readdir(at('staging', 'm'))).toEqual([]);
  });

  it('removes its scratch files', async () => {
    await makePacked();
    await onlyMachine(from);
    expect(await readdir(at('scratch'))).toEqual([]);
  });
});

describe('a source that changes', () => {
  it('is noticed at export where a disk has another size than planned', async () => {
    await makeRawDisk(at('d.img'));
    const from = { path: 'd.img' };
    const machine = await onlyMachine(from);
    await truncate(at('d.img'), 8 * MIB);
    const request = { from, machine, disk: '0', pass: 0, stagingFolder: at('staging') };
    await expect(openFilesSource(folder.path).export(request, createStepContext())).rejects.toMatchObject({
      code: 'source-changed',
      context: { planned: 4 * MIB, now: 8 * MIB },
    });
  });

  it('is noticed by the fingerprint where a file is gone', async () => {
    await makeRawDisk(at('d.img'));
    const from = { path: 'd.img' };
    const request = {
      from,
      machine: await onlyMachine(from),
      disk: '0',
      pass: 0,
      stagingFolder: at('staging'),
    };
    const source = openFilesSource(folder.path);
    const image = await source.export(request, createStepContext());
    await rm(at('d.img'));
    await expect(source.fingerprint(image)).rejects.toMatchObject({ code: 'source-changed' });
  });
});

describe('the options of a machine', () => {
  it.each([
    [{}, /path/],
    [{ path: 'a', disks: [{ path: 'b' }] }, /either/],
    [{ path: 'a', memory: '2 GB' }, /size/],
    [{ path: 'a', cpu: 2 }, /cpu/],
    [{ disks: [{ path: 'b' }], name: 'x' }, /name/],
  ])('refuse %j', (from, message) => {
    const { error } = filesMachineOptionsSchema.safeParse(from);
    expect(error?.message).toMatch(message);
  });

  it('resolve paths against the folder of the source, and that against the wave file', async () => {
    await makeRawDisk(at('disks', 'd.img'));
    const environment = { waveFolder: folder.path, scratchFolder: at('scratch') };
    const source = filesSource.create({ folder: 'disks' }, environment);
    expect(await source.machines({ path: 'd.img' }, live)).toMatchObject([{ name: 'd' }]);
  });
});

function pathOf({ layout }: Image): string {
  if (layout.kind !== 'single') throw new Error(layout.kind);
  return layout.file.path;
}
