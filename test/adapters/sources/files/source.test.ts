import { execFile } from 'node:child_process';
import { mkdir, rm, symlink, truncate } from 'node:fs/promises';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { filesSource } from '../../../../adapters/sources/files/adapter.ts';
import { filesMachineOptionsSchema } from '../../../../adapters/sources/files/options.ts';
import { createRecord } from '../../../fakes/machine.ts';
import { createStepContext } from '../../../fakes/step-context.ts';
import { convertDisk, gzipFile, MIB, makeRawDisk, makeStreamVmdk } from '../../../images/make-appliance.ts';
import { type MachineFolder, openMachineFolder } from './machine-folder.ts';

const run = promisify(execFile);

let folder: MachineFolder;
beforeEach(async () => {
  folder = await openMachineFolder();
});
afterEach(() => folder[Symbol.asyncDispose]());

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
    const raw = await makeRawDisk(folder.at('reference'), 8 * MIB);
    const path = folder.at('disk.bin');
    await convertDisk({ from: raw, to: path, format, ...(subformat === undefined ? {} : { subformat }) });
    const froms = [path];
    if (subformat !== 'twoGbMaxExtentFlat') froms.push(await gzipFile(path, folder.at('packed')));
    for (const from of froms) {
      const machine = await folder.onlyMachine({ path: from });
      expect(machine.disks).toMatchObject([{ id: '0', format: told, file: from, boots: true }]);
      // VHDs round up to whole cylinders.
      expect(machine.disks[0]?.bytes).toBeGreaterThanOrEqual(8 * MIB);
      const request = {
        from: { path: from },
        machine,
        disk: '0',
        pass: 0,
        stagingFolder: folder.at('staging'),
      };
      const image = await folder.openSource().export(request, createStepContext());
      expect(await folder.equalsRaw(image, raw)).toBe(true);
    }
  });

  it('makes a machine of defaults, called as its file, which the wave can override', async () => {
    await makeRawDisk(folder.at('web01.img'));
    const path = folder.at('web01.img');
    expect(await folder.onlyMachine({ path: 'web01.img' })).toEqual({
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
      assumed: ['cpus', 'memoryBytes'],
    });
    const wanted = {
      path: 'web01.img',
      firmware: 'uefi',
      secureBoot: true,
      cpus: 3,
      memory: '1.5GiB',
      os: 'windows2022',
    };
    expect(await folder.onlyMachine(wanted)).toMatchObject({
      firmware: 'uefi',
      secureBoot: true,
      cpus: 3,
      memoryBytes: 1.5 * 2 ** 30,
      os: 'windows2022',
      assumed: [],
    });
  });

  it.each([
    ['uefi', ['type=U']],
    ['bios', ['type=U,size=1MiB', 'type=21686148-6449-6E6F-744E-656564454649']],
    ['bios', ['type=L']],
  ])('boots by %s where its partition table is %j', async (firmware, partitions) => {
    const disk = await makeRawDisk(folder.at('d.img'), 8 * MIB);
    const script = ['label: gpt', ...partitions].join('\n');
    await run('sh', ['-c', `printf '%s\n' "$2" | sfdisk -q "$1"`, 'sh', disk, script]);
    expect((await folder.onlyMachine({ path: 'd.img' })).firmware).toBe(firmware);
  });

  it.each([
    ['qcow2', { path: 'd.qcow2' }, true],
    ['qcow2 among disks', { disks: [{ path: 'd.qcow2' }] }, true],
    ['compressed raw', { path: 'd.img.gz' }, true],
    ['qcow2 with its firmware said', { path: 'd.qcow2', firmware: 'bios' }, false],
    ['raw, whose table was read', { path: 'd.img' }, false],
    ['an appliance, which says it', { path: 'shop.ovf' }, false],
  ])('draws a warning before the run where its firmware is assumed: %s', async (_, from, isWarned) => {
    const raw = await makeRawDisk(folder.at('d.img'));
    await convertDisk({ from: raw, to: folder.at('d.qcow2'), format: 'qcow2' });
    await gzipFile(raw, folder.at('d.img.gz'));
    await makeStreamVmdk(folder.at('d0.vmdk'));
    await folder.writeOvf({});
    const machine = await folder.onlyMachine(from);
    const wave = { ...createRecord({ machine }).plan, from };
    const findings = await folder.openSource().preflight?.([{ machine, wave }], new AbortController().signal);
    const warning = {
      level: 'warn',
      subject: machine.name,
      remedy: expect.stringContaining('firmware: uefi'),
    };
    expect(findings).toEqual(isWarned ? [expect.objectContaining(warning)] : []);
  });

  it('that looks like another format is taken as raw where the wave says so', async () => {
    const qcow2 = await convertDisk({
      from: await makeRawDisk(folder.at('r')),
      to: folder.at('d.img'),
      format: 'qcow2',
    });
    await truncate(qcow2, 8 * MIB);
    expect((await folder.onlyMachine({ disks: [{ path: 'd.img', format: 'raw' }] })).disks[0]).toMatchObject({
      bytes: 8 * MIB,
      format: 'raw',
    });
  });

  it('has the same identity by whatever path it is reached', async () => {
    await makeRawDisk(folder.at('web.img'));
    await symlink(folder.at('web.img'), folder.at('link'));
    await mkdir(folder.at('sub'));
    const found = await Promise.all(
      ['web.img', 'sub/../web.img'].map((path) => folder.onlyMachine({ path })),
    );
    expect(new Set(found.map(({ identity }) => identity)).size).toBe(1);
    expect((await folder.onlyMachine({ path: 'link' })).identity).toContain(folder.at('web.img'));
  });
});

describe('a source that changes', () => {
  it('is noticed at export where a disk has another size than planned', async () => {
    await makeRawDisk(folder.at('d.img'));
    const from = { path: 'd.img' };
    const machine = await folder.onlyMachine(from);
    await truncate(folder.at('d.img'), 8 * MIB);
    const request = { from, machine, disk: '0', pass: 0, stagingFolder: folder.at('staging') };
    await expect(folder.openSource().export(request, createStepContext())).rejects.toMatchObject({
      code: 'source-changed',
      context: { planned: 4 * MIB, now: 8 * MIB },
    });
  });

  it('is noticed by the fingerprint where a file is gone', async () => {
    await makeRawDisk(folder.at('d.img'));
    const from = { path: 'd.img' };
    const request = {
      from,
      machine: await folder.onlyMachine(from),
      disk: '0',
      pass: 0,
      stagingFolder: folder.at('staging'),
    };
    const source = folder.openSource();
    const image = await source.export(request, createStepContext());
    await rm(folder.at('d.img'));
    await expect(source.fingerprint(image)).rejects.toMatchObject({ code: 'source-changed' });
  });
});

describe('the options of a machine', () => {
  it.each([
    [{}, /path/],
    [{ path: 'a', disks: [{ path: 'b' }] }, /give one of/],
    [{ path: 'a', memory: '2 GB' }, /size/],
    [{ path: 'a', memory: 5 }, /needs a unit.*did you mean \\"5GiB\\"/],
    [{ path: 'a', memory: 512 }, /needs a unit.*did you mean \\"512MiB\\"/],
    [{ path: 'a', cpu: 2 }, /cpu/],
    [{ disks: [{ path: 'b' }], name: 'x' }, /name/],
  ])('refuse %j', (from, message) => {
    const { error } = filesMachineOptionsSchema.safeParse(from);
    expect(error?.message).toMatch(message);
  });

  it('resolve paths against the folder of the source, and that against the wave file', async () => {
    await makeRawDisk(folder.at('disks', 'd.img'));
    const environment = {
      waveFolder: folder.path,
      scratchFolder: folder.at('scratch'),
      cacheFolder: folder.path,
    };
    const source = filesSource.create({ folder: 'disks' }, environment);
    expect(await source.machines({ path: 'd.img' }, new AbortController().signal)).toMatchObject([
      { name: 'd' },
    ]);
  });
});
