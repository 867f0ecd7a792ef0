import { readFile, stat } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ErrorCode } from '../../src/domain/errors.ts';
import { inspectHeader } from '../../src/images/header-guard.ts';
import { runTool } from '../../src/processes/child.ts';
import { patch, u32be, u64be } from './sample-images.ts';
import { openSpoiledSamples, refusal, type SpoiledSamples } from './spoiled-samples.ts';

let folder: SpoiledSamples;
beforeAll(async () => {
  folder = await openSpoiledSamples(['v3.qcow2', 'v2.qcow2', 'small-clusters.qcow2']);
});
afterAll(() => folder[Symbol.asyncDispose]());

describe('inspectHeader of qcow2', () => {
  it('refuses a backing file, as qemu-img makes it', async () => {
    const path = folder.join('overlay.qcow2');
    const base = folder.join('v3.qcow2');
    await runTool({ command: 'qemu-img', args: ['create', '-qf', 'qcow2', '-b', base, '-F', 'qcow2', path] });
    expect(await refusal(path, 'image-hostile')).toContain('qemu-img convert');
  });

  it('refuses an external data file, by feature bit and by extension', async () => {
    const path = folder.join('outside.qcow2');
    const options = `data_file=${folder.join('outside.data')},data_file_raw=on`;
    await runTool({ command: 'qemu-img', args: ['create', '-qf', 'qcow2', '-o', options, path, '5M'] });
    expect(await refusal(path, 'image-hostile')).toContain('data file');
    await patch(path, 0x48, u64be(0n));
    expect(await refusal(path, 'image-hostile')).toContain('data file');
  });

  it.each<[string, number, Uint8Array, ErrorCode]>([
    ['version 1', 4, u32be(1), 'image-unreadable'],
    ['version 4', 4, u32be(4), 'image-unreadable'],
    ['an unknown incompatible feature', 0x48, u64be(1n << 5n), 'image-hostile'],
    ['extended L2 entries', 0x48, u64be(1n << 4n), 'image-hostile'],
    ['a data file, by feature bit alone', 0x48, u64be(4n), 'image-hostile'],
    ['encryption', 0x20, u32be(2), 'image-unreadable'],
    ['a mark of corruption', 0x48, u64be(2n), 'image-corrupt'],
    ['100 TiB', 0x18, u64be(100n << 40n), 'image-hostile'],
    ['zero bytes', 0x18, u64be(0n), 'image-corrupt'],
    ['half a sector', 0x18, u64be(5n * 1024n * 1024n + 100n), 'image-corrupt'],
    ['a size that its L1 table does not cover', 0x18, u64be(5n << 40n), 'image-corrupt'],
    ['an L1 table beyond its end', 0x28, u64be(1n << 40n), 'image-corrupt'],
    ['an L1 table beyond 2^53', 0x28, u64be(1n << 60n), 'image-corrupt'],
    ['a refcount table beyond its end', 0x30, u64be(1n << 40n), 'image-corrupt'],
    ['a huge refcount table', 0x38, u32be(0xffff_ffff), 'image-corrupt'],
    ['clusters of 2^40', 0x14, u32be(40), 'image-corrupt'],
    ['a header of 8 bytes', 0x64, u32be(8), 'image-corrupt'],
    ['refcounts of 2^9 bits', 0x60, u32be(9), 'image-corrupt'],
    ['a snapshot table beyond its end', 0x3c, u32be(65_000), 'image-corrupt'],
  ])('refuses %s', async (_name, at, bytes, code) => {
    await refusal(await folder.patched('v3.qcow2', at, bytes), code);
  });

  it('finds an L2 table beyond its end', async () => {
    const l1 = Number((await readFile(folder.join('v3.qcow2'))).readBigUInt64BE(0x28));
    const path = await folder.patched('v3.qcow2', l1, u64be((1n << 63n) | (1n << 40n)));
    expect(await refusal(path, 'image-corrupt')).toContain('L2 table');
  });

  it.each(['v3.qcow2', 'v2.qcow2', 'small-clusters.qcow2'])(
    'finds %s cut off anywhere before its last cluster',
    async (file) => {
      const path = folder.join(file);
      const { size } = await stat(path);
      for (const fraction of [0.001, 0.1, 0.5, 0.9]) {
        const lengthBytes = Math.floor((size - 65_536) * fraction);
        const slice = { path, offsetBytes: 0, lengthBytes };
        await expect(inspectHeader(slice), `${lengthBytes} bytes`).rejects.toMatchObject({
          code: 'image-corrupt',
        });
      }
    },
  );
});
