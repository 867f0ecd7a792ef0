import { execFile } from 'node:child_process';
import { appendFile, mkdir, readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Pax } from 'tar';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readOvaIndex } from '../../src/images/ova.ts';
import { makeTempFolder, packOva, TAR_END, type TempFolder, tarEntry } from './make-appliance.ts';

const run = promisify(execFile);
let folder: TempFolder;

beforeEach(async () => {
  folder = await makeTempFolder();
});
afterEach(() => folder[Symbol.asyncDispose]());

async function writeOva(...parts: Buffer[]): Promise<string> {
  const path = join(folder.path, 'a.ova');
  await writeFile(path, Buffer.concat(parts));
  return path;
}

async function memberBytes(path: string, name: string): Promise<Buffer> {
  const slice = (await readOvaIndex(path)).members.get(name);
  if (slice?.lengthBytes == null) throw new Error(`no member ${name}`);
  return (await readFile(slice.path)).subarray(slice.offsetBytes, slice.offsetBytes + slice.lengthBytes);
}

describe('the index of an OVA', () => {
  it.each(['ustar', 'gnu', 'pax', 'v7'])(
    'finds the members of a %s archive where they lie',
    async (format) => {
      const names = ['m.ovf', 'disk-0.vmdk', 'empty'];
      await writeFile(join(folder.path, 'm.ovf'), '<Envelope/>');
      await writeFile(join(folder.path, 'disk-0.vmdk'), 'x'.repeat(1_300));
      await writeFile(join(folder.path, 'empty'), '');
      const files = names.map((name) => join(folder.path, name));
      const ova = await packOva(join(folder.path, 'a.ova'), files, format);
      expect([...(await readOvaIndex(ova)).members.keys()]).toEqual(names);
      expect((await memberBytes(ova, 'disk-0.vmdk')).toString()).toBe('x'.repeat(1_300));
      expect((await memberBytes(ova, 'm.ovf')).toString()).toBe('<Envelope/>');
      expect(await memberBytes(ova, 'empty')).toHaveLength(0);
    },
  );

  it.each(['gnu', 'pax'])('reads names of more than 100 characters in a %s archive', async (format) => {
    const name = `${'n'.repeat(180)}.vmdk`;
    await writeFile(join(folder.path, name), 'long');
    const ova = await packOva(join(folder.path, 'a.ova'), [join(folder.path, name)], format);
    expect((await memberBytes(ova, name)).toString()).toBe('long');
  });

  it('takes names with a leading ./, as `tar -C folder ./a` writes them', async () => {
    await writeFile(join(folder.path, 'm.ovf'), 'x');
    await run('tar', ['-cf', join(folder.path, 'a.ova'), '-C', folder.path, './m.ovf']);
    expect([...(await readOvaIndex(join(folder.path, 'a.ova'))).members.keys()]).toEqual(['m.ovf']);
  });

  it('reads sizes beyond 8 GiB, which tar writes in base 256 or in a pax header', async () => {
    const sizeBytes = 9 * 2 ** 30 + 512;
    for (const format of ['gnu', 'pax']) {
      const disk = join(folder.path, 'big.vmdk');
      await writeFile(disk, '');
      await truncate(disk, sizeBytes);
      const ova = join(folder.path, `${format}.ova`);
      // Only the headers are kept: the body is a hole that is put back by truncate.
      const { stdout } = await run(
        'sh',
        ['-c', `tar --format=${format} -cf - -C "$1" big.vmdk | head -c 2048`, 'sh', folder.path],
        {
          encoding: 'buffer',
        },
      );
      const headerBytes = format === 'gnu' ? 512 : 1536;
      await writeFile(ova, stdout.subarray(0, headerBytes));
      await truncate(ova, headerBytes + sizeBytes + 1024);
      const slice = (await readOvaIndex(ova)).members.get('big.vmdk');
      expect(slice).toEqual({ path: ova, offsetBytes: headerBytes, lengthBytes: sizeBytes });
    }
  });
});

describe('a damaged OVA', () => {
  it('is refused, with the member, where a member is cut off', async () => {
    const path = await writeOva(
      tarEntry({ path: 'm.ovf' }, 'x'),
      tarEntry({ path: 'd.vmdk' }, 'y'.repeat(4096)),
      TAR_END,
    );
    await truncate(path, 3_000);
    await expect(readOvaIndex(path)).rejects.toMatchObject({
      code: 'image-corrupt',
      message: expect.stringMatching(/a\.ova!d\.vmdk.*cut off.*Copy/),
      context: { member: 'd.vmdk' },
    });
  });

  it('is refused where it ends between members, without the end mark', async () => {
    const path = await writeOva(tarEntry({ path: 'm.ovf' }, 'x'));
    await expect(readOvaIndex(path)).rejects.toMatchObject({
      code: 'image-corrupt',
      message: expect.stringContaining('end mark'),
    });
  });

  it('is refused where a header does not match its checksum', async () => {
    const path = await writeOva(tarEntry({ path: 'm.ovf' }, 'x'));
    await appendFile(path, Buffer.alloc(512, 0x41));
    await expect(readOvaIndex(path)).rejects.toMatchObject({
      code: 'image-corrupt',
      context: { offsetBytes: 1024 },
    });
  });

  it('is refused where it is not there, or is a folder', async () => {
    await expect(readOvaIndex(join(folder.path, 'no.ova'))).rejects.toMatchObject({ code: 'image-missing' });
    await mkdir(join(folder.path, 'dir.ova'));
    await expect(readOvaIndex(join(folder.path, 'dir.ova'))).rejects.toMatchObject({
      code: 'image-unreadable',
    });
  });
});

describe('a hostile OVA', () => {
  const cases: [string, Buffer[], RegExp][] = [
    ['climbs out by ..', [tarEntry({ path: '../../etc/cron.d/x' }, 'x')], /path/],
    ['names an absolute path', [tarEntry({ path: '/etc/passwd' }, 'x')], /path/],
    ['names a folder', [tarEntry({ path: 'sub/m.ovf' }, 'x')], /path/],
    ['hides a backslash', [tarEntry({ path: '..\\m.ovf' }, 'x')], /path/],
    [
      'holds a member twice',
      [tarEntry({ path: 'm.ovf' }, 'x'), tarEntry({ path: 'm.ovf' }, 'y')],
      /two members/,
    ],
    [
      'holds ./m.ovf beside m.ovf',
      [tarEntry({ path: 'm.ovf' }, 'x'), tarEntry({ path: './m.ovf' }, 'y')],
      /two members/,
    ],
    [
      'holds a symbolic link',
      [tarEntry({ path: 'd.vmdk', type: 'SymbolicLink', linkpath: '/etc/shadow' })],
      /SymbolicLink/,
    ],
    ['holds a hard link', [tarEntry({ path: 'd.vmdk', type: 'Link', linkpath: 'm.ovf' })], /type Link/],
    ['holds a device', [tarEntry({ path: 'sda', type: 'BlockDevice' })], /BlockDevice/],
    ['holds a folder', [tarEntry({ path: 'sub/', type: 'Directory' })], /Directory/],
  ];

  it.each(cases)('is refused where it %s', async (_, parts, message) => {
    const path = await writeOva(...parts, TAR_END);
    await expect(readOvaIndex(path)).rejects.toMatchObject({
      code: 'image-hostile',
      message: expect.stringMatching(message),
    });
  });

  it('is refused where a pax header renames a member to a path', async () => {
    const pax = new Pax({ path: '../../evil' }).encode();
    const path = await writeOva(pax, tarEntry({ path: 'innocent' }, 'x'), TAR_END);
    await expect(readOvaIndex(path)).rejects.toMatchObject({ code: 'image-hostile' });
  });

  it('is refused where a pax header marks a member as sparse', async () => {
    const body = '22 GNU.sparse.major=1\n';
    const path = await writeOva(
      tarEntry({ path: 'x', type: 'ExtendedHeader' }, body),
      tarEntry({ path: 'd' }, 'x'),
      TAR_END,
    );
    await expect(readOvaIndex(path)).rejects.toMatchObject({
      code: 'image-hostile',
      message: expect.stringContaining('sparse'),
    });
  });

  it('is refused where it holds more members than any appliance has', async () => {
    const many = Array.from({ length: 257 }, (_, index) => tarEntry({ path: `f${index}` }));
    await expect(readOvaIndex(await writeOva(...many, TAR_END))).rejects.toMatchObject({
      code: 'image-hostile',
      message: expect.stringContaining('256'),
    });
  });

  it('is refused where headers follow each other without end', async () => {
    const many = Array.from({ length: 2_000 }, () =>
      tarEntry({ path: 'g', type: 'GlobalExtendedHeader' }, '10 uid=0\n'),
    );
    await expect(readOvaIndex(await writeOva(...many, TAR_END))).rejects.toMatchObject({
      code: 'image-hostile',
    });
  });

  it('is refused where a header extension claims to be huge', async () => {
    const path = await writeOva(tarEntry({ path: 'x', type: 'ExtendedHeader', size: 2 ** 31 }), TAR_END);
    await expect(readOvaIndex(path)).rejects.toMatchObject({ code: 'image-hostile' });
  });
});
