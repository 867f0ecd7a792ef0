import { chmod, readFile, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { followChain } from '../../../../adapters/sources/libvirt/chain.ts';
import type { NamedFile } from '../../../../adapters/sources/libvirt/domain.ts';
import { createLocalImages } from '../../../../adapters/sources/libvirt/local-images.ts';
import type { QemuFormat } from '../../../../src/domain/image.ts';
import { makeTempFolder, type TempFolder } from '../../../images/make-appliance.ts';
import { MIB, qemuImg } from './guests.ts';

const live = new AbortController().signal;
const place = createLocalImages();

let folder: TempFolder;
beforeEach(async () => {
  folder = await makeTempFolder();
});
afterEach(() => folder[Symbol.asyncDispose]());

const at = (name: string) => join(folder.path, name);

async function makeOverlay(
  name: string,
  under: string,
  format: string,
  more: string[] = [],
): Promise<string> {
  await qemuImg('create', '-q', '-f', 'qcow2', ...more, '-u', '-b', under, '-F', format, at(name), '4M');
  return at(name);
}

async function makeBase(): Promise<string> {
  await qemuImg('create', '-q', '-f', 'qcow2', at('base.qcow2'), '4M');
  return at('base.qcow2');
}

function follow(
  path: string,
  {
    named = null,
    folders = [],
    format = 'qcow2',
  }: { named?: NamedFile[] | null; folders?: string[]; format?: QemuFormat } = {},
) {
  return followChain({ place, top: { path, format }, named, folders, signal: live });
}

const qcow2 = (path: string): NamedFile => ({ path, format: 'qcow2' });
const hostile = { code: 'image-hostile' };
const unreadable = { code: 'image-unreadable' };
const corrupt = { code: 'image-corrupt' };

describe('a chain is followed', () => {
  it('where the domain names each file, also by links and relative names in headers', async () => {
    await makeBase();
    const middle = await makeOverlay('middle', 'base.qcow2', 'qcow2');
    await symlink('middle', at('link'));
    const top = await makeOverlay('top', at('link'), 'qcow2');
    const found = await follow(top, { named: [qcow2(middle), qcow2(at('base.qcow2'))] });
    expect(found).toEqual({
      bytes: 4 * MIB,
      files: [qcow2(top), qcow2(middle), qcow2(at('base.qcow2'))],
    });
  });

  it('where it lies in a folder that the wave allows, to a raw image, in the old version too', async () => {
    await writeFile(at('golden.img'), Buffer.alloc(2 * MIB));
    const top = await makeOverlay('top', at('golden.img'), 'raw', ['-o', 'compat=0.10']);
    const found = await follow(top, { folders: [folder.path] });
    expect(found.files).toEqual([qcow2(top), { path: at('golden.img'), format: 'raw' }]);
  });
});

describe('a backing file is refused', () => {
  it('that nobody allows', async () => {
    const top = await makeOverlay('top', '/etc/shadow', 'raw');
    await expect(follow(top)).rejects.toMatchObject(hostile);
    await expect(follow(top, { folders: [folder.path] })).rejects.toMatchObject(hostile);
  });

  it('that leaves an allowed folder by a link, by its path, or by a name that only begins like it', async () => {
    await symlink('/etc/hostname', at('inside'));
    const byLink = await makeOverlay('a', at('inside'), 'raw');
    const byPath = await makeOverlay('b', `${folder.path}/../../etc/hostname`, 'raw');
    const byName = await makeOverlay('c', `${folder.path}-other/x`, 'raw');
    for (const top of [byLink, byPath, byName]) {
      await expect(follow(top, { folders: [folder.path] })).rejects.toMatchObject(hostile);
    }
  });

  it.each([
    'nbd://127.0.0.1:1/x',
    'json:{"driver":"file","filename":"/etc/hostname"}',
    'fat:/etc',
    'nbd:unix:/x',
  ])('by the name %s', async (name) => {
    const top = await makeOverlay('top', name, 'raw');
    await expect(follow(top, { folders: ['/'] })).rejects.toMatchObject(hostile);
  });

  it('that the domain does not name, or names otherwise', async () => {
    const base = await makeBase();
    const top = await makeOverlay('top', base, 'qcow2');
    await expect(follow(top, { named: [] })).rejects.toMatchObject(unreadable);
    await expect(follow(top, { named: [qcow2(at('other'))] })).rejects.toMatchObject(unreadable);
    await expect(follow(base, { named: [qcow2(at('other'))] })).rejects.toMatchObject(unreadable);
  });

  it('whose format only its own bytes would tell, or is neither raw nor qcow2', async () => {
    const base = await makeBase();
    const old = at('unsaid');
    await qemuImg('create', '-q', '-f', 'qcow2', '-u', '-b', base, '-F', 'raw', old, '4M');
    await qemuImg('rebase', '-u', '-f', 'qcow2', '-b', base, '-F', 'vmdk', old).catch(() => {});
    await expect(
      follow(old, { folders: [folder.path], named: [{ path: base, format: 'vmdk' }] }),
    ).rejects.toMatchObject(unreadable);
  });

  it('in a circle', async () => {
    const one = await makeOverlay('one', at('two'), 'qcow2');
    await makeOverlay('two', one, 'qcow2');
    await expect(follow(one, { folders: [folder.path] })).rejects.toMatchObject(corrupt);
  });

  it('in a chain longer than any', async () => {
    const overlay = await readFile(await makeOverlay('000', '001', 'qcow2'), 'latin1');
    const names = Array.from({ length: 70 }, (_, index) => String(index).padStart(3, '0'));
    for (const [index, name] of names.slice(1).entries()) {
      const under = String(index + 2).padStart(3, '0');
      await writeFile(at(name), overlay.replace('001', under), 'latin1');
    }
    const named = names.slice(1).map((name) => qcow2(at(name)));
    await expect(follow(at('000'), { named })).rejects.toThrow(/more than 64 files/);
    await expect(follow(at('010'), { named: named.slice(10, 59) })).rejects.toThrow(/its domain ends there/);
  });
});

describe('the guard judges every file of a chain', () => {
  it('that is no image, cut off, or keeps its data elsewhere', async () => {
    const base = await makeBase();
    const top = await makeOverlay('top', base, 'qcow2');
    await truncate(base, 1000);
    await expect(follow(top, { named: [qcow2(base)] })).rejects.toMatchObject(corrupt);
    await writeFile(base, Buffer.alloc(MIB, 'x'));
    await expect(follow(top, { named: [qcow2(base)] })).rejects.toMatchObject(corrupt);
    await qemuImg('create', '-q', '-f', 'qcow2', '-o', `data_file=${at('data')}`, at('outside'), '4M');
    const over = await makeOverlay('over', at('outside'), 'qcow2');
    await expect(follow(over, { named: [qcow2(at('outside'))] })).rejects.toMatchObject(hostile);
  });

  it('and takes what the domain calls raw as it is, whatever header a guest wrote onto it', async () => {
    const evil = await makeOverlay('evil', '/etc/shadow', 'raw');
    await truncate(evil, MIB);
    expect((await follow(evil, { format: 'raw' })).files).toEqual([{ path: evil, format: 'raw' }]);
    await truncate(evil, 1000);
    await expect(follow(evil, { format: 'raw' })).rejects.toMatchObject(corrupt);
  });

  it('that is away, or is not for us', async () => {
    const top = await makeOverlay('top', at('gone'), 'qcow2');
    await expect(follow(top, { named: [qcow2(at('gone'))] })).rejects.toMatchObject({
      code: 'image-missing',
    });
    await expect(follow(folder.path)).rejects.toMatchObject(unreadable);
    if (process.getuid?.() === 0) return;
    await chmod(top, 0);
    await expect(follow(top)).rejects.toMatchObject(unreadable);
  });
});
