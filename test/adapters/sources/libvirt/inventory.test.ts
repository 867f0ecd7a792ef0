import { rename, truncate } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createLibvirtSource } from '../../../../adapters/sources/libvirt/source.ts';
import type { JsonObject } from '../../../../src/domain/json.ts';
import type { Machine } from '../../../../src/domain/machine.ts';
import { matchesName } from '../../../../src/domain/name-pattern.ts';
import type { Finding, Source } from '../../../../src/domain/ports.ts';
import { type OwnLibvirt, startLibvirt } from '../../../../tools/libvirt/libvirtd.ts';
import { createStepContext } from '../../../fakes/step-context.ts';
import { defineGuest, domainXml, fileDisk, MIB, makeBootDisk, qemuImg } from './guests.ts';

const live = new AbortController().signal;

let libvirt: OwnLibvirt;
let source: Source;

beforeAll(async () => {
  libvirt = await startLibvirt();
  source = createLibvirtSource({ uri: libvirt.uri, backingFolders: [] });
});
afterAll(() => libvirt[Symbol.asyncDispose]());

const names = async (from: JsonObject) => (await source.machines(from, live)).map(({ name }) => name);

async function only(name: string): Promise<Machine> {
  const [machine] = await source.machines({ name }, live);
  if (machine === undefined) throw new Error(`${name} is not there`);
  return machine;
}

async function look(machine: Machine): Promise<Finding[]> {
  const wave = { name: machine.name, from: {}, to: {}, export: 'in-place' } as never;
  return (await source.preflight?.([{ wave, machine }], live)) ?? [];
}

describe('machines are found', () => {
  it('by name, by pattern and by uuid, off and on, and described without touching them', async () => {
    const web1 = await defineGuest(libvirt, { name: 'web-1' });
    await defineGuest(libvirt, { name: 'web-2' });
    await defineGuest(libvirt, { name: 'the web 3; destroy web-1' });
    await libvirt.virsh('start', 'web-2');
    expect(await names({ name: 'web-1' })).toEqual(['web-1']);
    expect(await names({ name: 'web-?' })).toEqual(['web-1', 'web-2']);
    expect(await names({ name: '*web*' })).toEqual(['the web 3; destroy web-1', 'web-1', 'web-2']);
    expect(await names({ uuid: web1.uuid.toUpperCase() })).toEqual(['web-1']);
    expect(await only('web-1')).toEqual({
      name: 'web-1',
      uuid: web1.uuid,
      identity: `libvirt:${web1.uuid}`,
      firmware: 'bios',
      secureBoot: false,
      cpus: 1,
      memoryBytes: 16 * MIB,
      os: null,
      disks: [{ id: '0', bytes: 4 * MIB, format: 'raw', file: web1.path, boots: true }],
      nics: [],
      host: hostname(),
      tags: [],
    });
    const [named] = await source.machines({ name: 'web-1', os: 'windows2022' }, live);
    expect(named?.os).toBe('windows2022');
    await libvirt.virsh('destroy', 'web-2');
  });

  it('many at once', async () => {
    const path = await makeBootDisk(join(libvirt.folder, 'images', 'many.raw'));
    const disks = fileDisk({ path, format: 'raw', target: 'vda' });
    for (let index = 10; index < 40; index += 1) {
      await libvirt.define(domainXml({ name: `many-${index}`, disks }));
    }
    expect(await names({ name: 'many-*' })).toEqual(
      Array.from({ length: 30 }, (_, index) => `many-${index + 10}`),
    );
  });

  it('by tag and by host, narrowed by name', async () => {
    await defineGuest(libvirt, { name: 'tagged-1', more: '<title>the shop #weekend #tier:web</title>' });
    const tags = "<metadata><l:tags xmlns:l='urn:landfall:tags'>weekend</l:tags></metadata>";
    await defineGuest(libvirt, { name: 'tagged-2', more: tags });
    await defineGuest(libvirt, { name: 'tagged-3', more: '<description>#weekday</description>' });
    expect(await names({ tag: 'weekend' })).toEqual(['tagged-1', 'tagged-2']);
    expect(await names({ tag: '#tier:*' })).toEqual(['tagged-1']);
    expect(await names({ tag: 'week*', name: '*-[!1]' }).catch(() => [])).toEqual([]);
    expect(await names({ tag: 'week*', name: '*-3' })).toEqual(['tagged-3']);
    expect(await names({ host: hostname(), name: 'tagged-*' })).toEqual(['tagged-1', 'tagged-2', 'tagged-3']);
    expect((await names({ host: '*' })).length).toBeGreaterThan(3);
    const elsewhere = { code: 'not-found', message: expect.stringContaining('on the host "kvm-99"') };
    await expect(names({ host: 'kvm-99', name: 'tagged-1' })).rejects.toMatchObject(elsewhere);
    await expect(names({ tag: 'no-such' })).rejects.toMatchObject({ code: 'not-found' });
  });

  it('or not, and then those that are there are named', async () => {
    await defineGuest(libvirt, { name: 'there' });
    const missing = { code: 'not-found', message: expect.stringContaining('there') };
    await expect(source.machines({ name: 'their' }, live)).rejects.toMatchObject(missing);
  });

  it.each([
    ['web-1', 'web-1', true],
    ['web-1', 'web-', false],
    ['web-1', 'we?-1', true],
    ['web-1', '*', true],
    ['web.1', 'web-1', false],
    ['webx1', 'web.1', false],
    ['a[b]', 'a[b]', true],
    ['ab', 'a[b]', false],
    ['a'.repeat(200), `${'*a'.repeat(50)}b`, false],
  ])('%s by %s: %s', (name, pattern, fits) => {
    expect(matchesName(name, pattern)).toBe(fits);
  });
});

describe('disks', () => {
  it('of volumes are found in their pools', async () => {
    const folder = join(libvirt.folder, 'images');
    await libvirt.virsh('pool-create-as', 'pool one', 'dir', '--target', folder);
    const path = await makeBootDisk(join(folder, 'volume.raw'));
    await libvirt.give(path);
    await libvirt.virsh('pool-refresh', 'pool one');
    const disks = `<disk type='volume' device='disk'><driver name='qemu' type='raw'/><source pool='pool one' volume='volume.raw'/><target dev='vda' bus='virtio'/></disk>`;
    await libvirt.define(domainXml({ name: 'volumes', disks }));
    const machine = await only('volumes');
    expect(machine.disks).toMatchObject([{ bytes: 4 * MIB, file: 'pool one/volume.raw' }]);
    const request = { from: {}, machine, disk: '0', pass: 0, stagingFolder: '/nowhere' };
    const image = await source.export(request, createStepContext());
    expect(image.layout).toMatchObject({ file: { path } });
  });

  it('whose image is away are told by the path', async () => {
    const { path } = await defineGuest(libvirt, { name: 'away' });
    await rename(path, `${path}.moved`);
    const missing = { code: 'image-missing', message: expect.stringContaining(path) };
    await expect(only('away')).rejects.toMatchObject(missing);
  });
});

describe('plan', () => {
  it('tells of a plain machine what a cutover will change', async () => {
    await defineGuest(libvirt, { name: 'plain', more: '<title>#web</title>' });
    const told = async () =>
      (await look(await only('plain'))).map(({ level, message }) => `${level}: ${message}`);
    expect(await told()).toEqual([`ok: is off on ${hostname()}, not started with its host, tagged web`]);
    await libvirt.virsh('autostart', 'plain');
    expect(await told()).toEqual([`ok: is off on ${hostname()}, started with its host, tagged web`]);
  });

  it('tells that UEFI variables stay behind', async () => {
    await defineGuest(libvirt, { name: 'modern', isUefi: true });
    expect(await look(await only('modern'))).toContainEqual(
      expect.objectContaining({
        level: 'warn',
        message: expect.stringMatching(/UEFI variables.* stay behind/),
      }),
    );
  });

  it('tells what stays behind and what will surprise', async () => {
    await defineGuest(libvirt, {
      name: 'odd',
      more: "<clock offset='localtime'/><on_poweroff>restart</on_poweroff>",
      devices: "<disk type='file' device='cdrom'><target dev='sda' bus='sata'/></disk>",
    });
    await libvirt.virsh('start', 'odd');
    const findings = await look(await only('odd'));
    expect(findings.map(({ level, message }) => `${level}: ${message}`)).toEqual([
      `ok: is running on ${hostname()}, not started with its host`,
      'fail: starts again when its guest turns it off',
      'ok: its CD drive sda is left out: it is empty',
      expect.stringMatching(/^warn: is set up as Windows guests are/),
    ]);
    await libvirt.virsh('managedsave', 'odd');
    expect(await look(await only('odd'))).toContainEqual(
      expect.objectContaining({ level: 'fail', message: expect.stringContaining('memory saved') }),
    );
  });

  it('refuses disks that it cannot read, and images that the guard does not let pass, each by name', async () => {
    const at = (name: string) => join(libvirt.folder, 'images', name);
    const shared = await makeBootDisk(at('shared.raw'));
    await qemuImg(
      'create',
      '-q',
      '-f',
      'qcow2',
      '-u',
      '-b',
      '/etc/shadow',
      '-F',
      'raw',
      at('evil.qcow2'),
      '4M',
    );
    await qemuImg('create', '-q', '-f', 'qcow2', at('cut.qcow2'), '4M');
    const disks = [
      fileDisk({ path: shared, format: 'raw', target: 'vda', more: '<shareable/>' }),
      fileDisk({ path: at('evil.qcow2'), format: 'qcow2', target: 'vdb' }),
      fileDisk({ path: at('cut.qcow2'), format: 'qcow2', target: 'vdc', more: '<readonly/>' }),
    ].join('');
    await libvirt.define(domainXml({ name: 'bad', disks }));
    const machine = await only('bad');
    await truncate(at('cut.qcow2'), 70_000);
    const findings = await look(machine);
    expect(findings.slice(1).map(({ level, subject }) => `${level} ${subject}`)).toEqual([
      'fail bad disk 0 (vda)',
      'fail bad disk 1 (vdb)',
      'fail bad disk 2 (vdc)',
      'warn bad disk 2 (vdc)',
    ]);
    expect(findings[1]?.message).toContain('shared with other machines');
    expect(findings[2]?.message).toContain('/etc/shadow');
    const request = { from: {}, machine, disk: '1', pass: 0, stagingFolder: '/nowhere' };
    await expect(source.export(request, createStepContext())).rejects.toMatchObject({
      code: 'image-hostile',
    });
  });
});
