import { readFileSync } from 'node:fs';
import { copyFile, mkdir, open, readFile, stat, writeFile } from 'node:fs/promises';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LandfallError } from '../../src/domain/errors.ts';
import { inspectHeader } from '../../src/images/header-guard.ts';
import { runTool } from '../../src/processes/child.ts';
import { patch, SAMPLE_BYTES } from './sample-images.ts';
import { openSpoiledSamples, refusal, SINGLE_FILES, type SpoiledSamples, whole } from './spoiled-samples.ts';

let folder: SpoiledSamples;
beforeAll(async () => {
  folder = await openSpoiledSamples(SINGLE_FILES);
});
afterAll(() => folder[Symbol.asyncDispose]());

describe('inspectHeader', () => {
  it.each([
    ['v3.qcow2', 'qcow2', null],
    ['v2.qcow2', 'qcow2', null],
    ['small-clusters.qcow2', 'qcow2', null],
    ['sparse.vmdk', 'vmdk', 'monolithicSparse'],
    ['stream.vmdk', 'vmdk', 'streamOptimized'],
    ['vmware.vmdk', 'vmdk', 'streamOptimized'],
    ['fixed.vhd', 'vhd', 'fixed'],
    ['dynamic.vhd', 'vhd', 'dynamic'],
    ['fixed.vhdx', 'vhdx', 'fixed'],
    ['dynamic.vhdx', 'vhdx', 'dynamic'],
    ['sample.raw', 'raw', null],
  ])('takes %s as %s by its bytes, whatever its name', async (file, format, subformat) => {
    const nameless = await folder.copyOf(file);
    const misnamed = `${nameless}.img`;
    await copyFile(nameless, misnamed);
    expect(await inspectHeader(whole(misnamed))).toEqual({ format, bytes: SAMPLE_BYTES, subformat });
  });

  it('reads an image within another file, and names the member in its refusal', async () => {
    const image = await readFile(folder.join('vmware.vmdk'));
    const archive = folder.join('appliance.bin');
    await writeFile(archive, Buffer.concat([Buffer.alloc(1536, 7), image, Buffer.alloc(4096, 7)]));
    const slice = { path: archive, offsetBytes: 1536, lengthBytes: image.length };
    const label = `${archive}!disk1.vmdk`;
    expect(await inspectHeader(slice, { label })).toMatchObject({ format: 'vmdk', bytes: SAMPLE_BYTES });
    const cut = { ...slice, lengthBytes: image.length - 512 };
    await expect(inspectHeader(cut, { label })).rejects.toThrow(`${label}: it is cut off`);
    const beyond = { ...slice, lengthBytes: image.length + 8192 };
    await expect(inspectHeader(beyond, { label })).rejects.toMatchObject({ code: 'image-corrupt' });
  });

  it('does not take a file that is no image, nor advise to pad it', async () => {
    const path = folder.join('README.md');
    await writeFile(path, '# Not a disk\n');
    const message = await refusal(path, 'image-corrupt');
    expect(message).toContain('it is no disk image, or one that is cut off');
    expect(message).not.toContain('truncate');
  });

  it('takes a disk that begins with a container header as raw only where that is demanded', async () => {
    const path = folder.join('v3.qcow2');
    const { size } = await stat(path);
    expect(await inspectHeader(whole(path), { format: 'raw' })).toEqual({
      format: 'raw',
      bytes: size,
      subformat: null,
    });
    await expect(inspectHeader(whole(path), { format: 'vhd' })).rejects.toThrow(
      /should be vhd, but its bytes say qcow2/,
    );
  });

  it('stops when its signal is aborted', async () => {
    const signal = AbortSignal.abort();
    await expect(inspectHeader(whole(folder.join('sample.raw')), { signal })).rejects.toThrow(/abort/i);
  });

  it('says what is wrong with a path that holds no image', async () => {
    await refusal(folder.join('none.img'), 'image-missing');
    await mkdir(folder.join('folder.img'));
    expect(await refusal(folder.join('folder.img'), 'image-unreadable')).toContain('a folder');
    await runTool({ command: 'mkfifo', args: [folder.join('pipe.img')] });
    await refusal(folder.join('pipe.img'), 'image-unreadable');
    await writeFile(folder.join('empty.img'), '');
    await refusal(folder.join('empty.img'), 'image-corrupt');
    await writeFile(folder.join('odd.img'), Buffer.alloc(1000));
    expect(await refusal(folder.join('odd.img'), 'image-corrupt')).toContain('512-byte sectors');
  });

  it.each([
    ['gzip', '\x1f\x8b\x08', 0],
    ['VDI', '\x7f\x10\xda\xbe', 0x40],
    ['tar archive', 'ustar', 257],
    ['COWD', 'COWD', 0],
  ])('refuses to migrate a %s file as if it were a raw disk', async (name, magic, at) => {
    const path = await folder.patched('sample.raw', at, magic);
    await patch(path, 0, magic.padStart(at + magic.length, '\0'));
    expect(await refusal(path, 'image-unreadable')).toContain(name);
  });

  it('refuses a descriptor that names other files where one image is wanted', async () => {
    const path = folder.join('alone.vmdk');
    await writeFile(path, '# Disk DescriptorFile\nversion=1\nRW 1 FLAT "/etc/shadow" 0\n');
    expect(await refusal(path, 'image-hostile')).toContain('names other files');
  });
});

describe('inspectHeader under fuzz', () => {
  it.each([...SINGLE_FILES, 'vmware.vmdk'])(
    'accepts or refuses %s with any bytes flipped and any tail lost, and never breaks',
    async (file) => {
      const path = await folder.copyOf(file);
      const original = readFileSync(path);
      await using handle = await open(path, 'r+');
      // Most flips go where structures are: the first 4 KiB, the last 2 KiB, then anywhere.
      const offset = fc.oneof(
        fc.nat(4096),
        fc.nat(2047).map((back) => original.length - 1 - back),
        fc.nat(original.length - 1),
      );
      const flips = fc.array(fc.tuple(offset, fc.integer({ min: 1, max: 255 })), {
        minLength: 0,
        maxLength: 4,
      });
      const length = fc.oneof(fc.constant(original.length), fc.nat(original.length));
      const property = fc.asyncProperty(flips, length, async (spoiled, lengthBytes) => {
        for (const [at, mask] of spoiled) {
          await handle.write(Buffer.from([(original[at] ?? 0) ^ mask]), 0, 1, at);
        }
        try {
          const header = await inspectHeader({ path, offsetBytes: 0, lengthBytes });
          expect(header.bytes % 512).toBe(0);
          expect(header.bytes).toBeGreaterThan(0);
        } catch (error) {
          expect(error).toBeInstanceOf(LandfallError);
        } finally {
          for (const [at] of spoiled) await handle.write(original.subarray(at, at + 1), 0, 1, at);
        }
      });
      await fc.assert(property, { numRuns: 150 });
      expect(await inspectHeader(whole(path))).toMatchObject({ bytes: SAMPLE_BYTES });
    },
  );
});
