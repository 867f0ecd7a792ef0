import { copyFile, mkdir, readFile, rename, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { asLandfallError, type ErrorCode } from '../../src/domain/errors.ts';
import { describeImage, describeSlice } from '../../src/images/describe-image.ts';
import {
  convertSample,
  openSampleFolder,
  SAMPLE_BYTES,
  type SampleFolder,
  writeSampleDisk,
} from './sample-images.ts';

let folder: SampleFolder;
let raw: string;

beforeEach(async () => {
  folder = await openSampleFolder();
  raw = folder.join('sample.raw');
  await writeSampleDisk(raw);
});

afterEach(() => folder[Symbol.asyncDispose]());

async function refusal(path: string, code: ErrorCode): Promise<string> {
  const error = await describeImage({ path }).then(
    () => expect.unreachable(`${path} was taken`),
    (thrown: unknown) => asLandfallError(thrown),
  );
  expect(error.code, error.message).toBe(code);
  return error.message;
}

/** A descriptor with these extent lines, beside whatever the test put into the folder. */
async function writeDescriptor(lines: readonly string[], createType = 'monolithicFlat'): Promise<string> {
  const path = folder.join('disk.vmdk');
  const head = `# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\ncreateType="${createType}"\n`;
  await writeFile(path, `${head}${lines.join('\r\n')}\r\nddb.adapterType = "lsilogic"\n`);
  return path;
}

const SECTORS = SAMPLE_BYTES / 512;

describe('describeImage', () => {
  it('describes a file by itself', async () => {
    const path = await convertSample({ raw, folder, file: 'stream.vmdk' });
    expect(await describeImage({ path })).toEqual({
      image: {
        bytes: SAMPLE_BYTES,
        layout: { kind: 'single', format: 'vmdk', file: { path, offsetBytes: 0, lengthBytes: null } },
      },
      format: 'vmdk',
      headerSubformat: 'streamOptimized',
      files: [path],
    });
  });

  it('describes a slice with the slice that it was given', async () => {
    const slice = { path: raw, offsetBytes: 512, lengthBytes: 4096 };
    const { image } = await describeSlice(slice);
    expect(image).toEqual({ bytes: 4096, layout: { kind: 'single', format: 'raw', file: slice } });
  });

  it.each([
    ['flat/d.vmdk', 'raw', 'monolithicFlat', 'flat/d-flat.vmdk'],
    ['split-flat/d.vmdk', 'raw', 'twoGbMaxExtentFlat', 'split-flat/d-f001.vmdk'],
    ['split-sparse/d.vmdk', 'vmdk-sparse', 'twoGbMaxExtentSparse', 'split-sparse/d-s001.vmdk'],
  ] as const)('puts %s together from its extents', async (file, kind, createType, extent) => {
    const path = await convertSample({ raw, folder, file });
    const { image, headerSubformat, files } = await describeImage({ path });
    expect(headerSubformat).toBe(createType);
    expect(files).toEqual([path, folder.join(extent)]);
    expect(image.bytes).toBe(SAMPLE_BYTES);
    const lengthBytes = kind === 'raw' ? SAMPLE_BYTES : null;
    expect(image.layout).toEqual({
      kind: 'pieces',
      pieces: [
        { kind, bytes: SAMPLE_BYTES, file: { path: folder.join(extent), offsetBytes: 0, lengthBytes } },
      ],
    });
  });

  it('reads pieces of several files, with offsets and zeros between', async () => {
    await copyFile(raw, folder.join('disk-flat.vmdk'));
    const path = await writeDescriptor([
      'RW 2048 FLAT "disk-flat.vmdk" 0',
      'RW 4096 ZERO',
      'RDONLY 1024 VMFS "disk-flat.vmdk" 2048',
    ]);
    const { image, files } = await describeImage({ path });
    expect(image.bytes).toBe((2048 + 4096 + 1024) * 512);
    expect(files).toEqual([path, folder.join('disk-flat.vmdk')]);
    expect(image.layout).toMatchObject({
      pieces: [
        { kind: 'raw' },
        { kind: 'zero', bytes: 2 ** 21 },
        { kind: 'raw', file: { offsetBytes: 2 ** 20 } },
      ],
    });
  });

  it('finds extents whose names are in the encoding that the descriptor declares', async () => {
    await copyFile(raw, folder.join('büro-flat.vmdk'));
    const path = await writeDescriptor([`RW ${SECTORS} FLAT "büro-flat.vmdk" 0`]);
    expect((await describeImage({ path })).image.bytes).toBe(SAMPLE_BYTES);
    const text = (await readFile(path, 'utf8')).replace('version=1', 'version=1\nencoding="windows-1252"');
    await writeFile(path, Buffer.from(text, 'latin1'));
    expect((await describeImage({ path })).image.bytes).toBe(SAMPLE_BYTES);
  });

  it('names every extent that is missing', async () => {
    const path = await writeDescriptor([
      'RW 2048 FLAT "disk-f001.vmdk" 0',
      'RW 2048 FLAT "disk-f002.vmdk" 0',
    ]);
    const message = await refusal(path, 'image-missing');
    expect(message).toContain('disk-f001.vmdk, disk-f002.vmdk');
    expect(message).toContain(folder.path);
  });

  it.each([
    ['an absolute path', '/etc/passwd'],
    ['a path upwards', '../outside.vmdk'],
    ['a path in another folder', 'sub/inside.vmdk'],
    ['a Windows path', 'C:\\secret.vmdk'],
    ['the parent folder', '..'],
  ])('refuses an extent named by %s', async (_name, extent) => {
    const path = await writeDescriptor([`RW 1 FLAT "${extent}" 0`]);
    expect(await refusal(path, 'image-hostile')).toContain(JSON.stringify(extent));
  });

  it('refuses an extent that is a link out of the folder, and takes one within', async () => {
    await mkdir(folder.join('other'));
    await rename(raw, folder.join('other/real.raw'));
    await symlink(folder.join('other/real.raw'), folder.join('disk-flat.vmdk'));
    const path = await writeDescriptor([`RW ${SECTORS} FLAT "disk-flat.vmdk" 0`]);
    expect(await refusal(path, 'image-hostile')).toContain('outside of its folder');
    await rename(folder.join('other/real.raw'), raw);
    await rm(folder.join('disk-flat.vmdk'));
    await symlink('sample.raw', folder.join('disk-flat.vmdk'));
    expect((await describeImage({ path })).image.bytes).toBe(SAMPLE_BYTES);
  });

  it('refuses an extent that is shorter than its line says', async () => {
    await copyFile(raw, folder.join('disk-flat.vmdk'));
    await truncate(folder.join('disk-flat.vmdk'), SAMPLE_BYTES - 512);
    const path = await writeDescriptor([`RW ${SECTORS} FLAT "disk-flat.vmdk" 0`]);
    expect(await refusal(path, 'image-corrupt')).toContain('cut off');
  });

  it('guards sparse extents as it guards whole images', async () => {
    const path = await convertSample({ raw, folder, file: 'split-sparse/d.vmdk' });
    const extent = folder.join('split-sparse/d-s001.vmdk');
    const whole = await readFile(extent);
    await truncate(extent, 100_000);
    expect(await refusal(path, 'image-corrupt')).toContain(extent);
    await writeFile(extent, whole);
    const shifted = (await readFile(path, 'utf8')).replace(`RW ${SECTORS}`, `RW ${SECTORS - 128}`);
    await writeFile(path, shifted);
    expect(await refusal(path, 'image-corrupt')).toContain('of the disk');
    await writeFile(extent, Buffer.alloc(SAMPLE_BYTES));
    expect(await refusal(path, 'image-corrupt')).toContain('no sparse VMDK extent');
  });

  it.each([
    ['vmfsSparse', 'image-hostile'],
    ['fullDevice', 'image-hostile'],
    ['', 'image-hostile'],
  ] as const)('refuses a descriptor of createType "%s"', async (createType, code) => {
    await copyFile(raw, folder.join('disk-flat.vmdk'));
    const path = await writeDescriptor([`RW ${SECTORS} FLAT "disk-flat.vmdk" 0`], createType);
    await refusal(path, code);
  });

  it('refuses a snapshot and says what to do about it', async () => {
    await copyFile(raw, folder.join('disk-flat.vmdk'));
    const path = await writeDescriptor(['parentFileNameHint="base.vmdk"', `RW 8 FLAT "disk-flat.vmdk" 0`]);
    expect(await refusal(path, 'image-hostile')).toContain('Consolidate');
  });

  it('refuses a descriptor of 1 MiB and one without extents', async () => {
    const path = await writeDescriptor([]);
    await refusal(path, 'image-corrupt');
    await writeFile(path, `# Disk DescriptorFile\n${'#\n'.repeat(2 ** 19)}`);
    expect(await refusal(path, 'image-hostile')).toContain('1 MiB');
  });

  it('refuses an extent in place of its descriptor unless raw is demanded', async () => {
    const path = await convertSample({ raw, folder, file: 'flat/d.vmdk' });
    const extent = folder.join('flat/d-flat.vmdk');
    expect(await refusal(extent, 'image-corrupt')).toContain('name the descriptor');
    expect((await describeImage({ path: extent, format: 'raw' })).format).toBe('raw');
    const { image } = await describeImage({ path, format: 'raw' });
    expect(image.layout).toMatchObject({ kind: 'single', format: 'raw' });
  });

  it('says that a file is missing', async () => {
    expect(await refusal(folder.join('none.qcow2'), 'image-missing')).toContain('none.qcow2');
  });
});
