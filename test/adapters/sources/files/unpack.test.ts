import { execFile } from 'node:child_process';
import { mkdir, readdir, readFile, stat, utimes, writeFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Image } from '../../../../src/domain/image.ts';
import type { JsonObject } from '../../../../src/domain/json.ts';
import { createStepContext } from '../../../fakes/step-context.ts';
import { gzipFile, MIB, makeRawDisk } from '../../../images/make-appliance.ts';
import { DISK, type MachineFolder, openMachineFolder } from './machine-folder.ts';

const run = promisify(execFile);

let folder: MachineFolder;
beforeEach(async () => {
  folder = await openMachineFolder();
});
afterEach(() => folder[Symbol.asyncDispose]());

describe('a compressed disk', () => {
  const from = { path: 'd.img.gz' };

  async function makePacked(bytes = 4 * MIB): Promise<string> {
    const raw = await makeRawDisk(folder.at('d.img'), bytes);
    await gzipFile(raw, folder.at('d.img.gz'));
    return raw;
  }

  async function exportPacked() {
    const machine = await folder.onlyMachine(from);
    const context = createStepContext();
    const request = { from, machine, disk: '0', pass: 0, stagingFolder: folder.at('staging', 'm') };
    return { machine, context, image: await folder.openSource().export(request, context) };
  }

  it('is unpacked into staging, with holes for zeros, and given back by release', async () => {
    const raw = await makePacked(64 * MIB);
    const { machine, context, image } = await exportPacked();
    expect(machine.disks).toMatchObject([{ unpackedBytes: 64 * MIB }]);
    expect(await folder.equalsRaw(image, raw)).toBe(true);
    const [name = ''] = await readdir(folder.at('staging', 'm'));
    const { size, blocks } = await stat(folder.at('staging', 'm', name));
    expect(size).toBe(64 * MIB);
    expect(blocks * 512).toBeLessThan(4 * MIB);
    expect(context.reports.every(({ doneBytes }) => doneBytes === 0)).toBe(true);
    expect(context.reports.at(-1)?.note).toBe('unpacking: 100 %');
    await folder.openSource().release({ from, machine }, context);
    expect(await readdir(folder.at('staging'))).toEqual([]);
  });

  it('is unpacked once; again only where the source changed', async () => {
    await makePacked();
    const first = await exportPacked();
    const before = await stat(pathOf(first.image));
    const second = await exportPacked();
    expect((await stat(pathOf(second.image))).ino).toBe(before.ino);
    expect(second.context.reports).toEqual([]);
    await utimes(folder.at('d.img.gz'), new Date(), new Date(0));
    const third = await exportPacked();
    expect(pathOf(third.image)).not.toBe(pathOf(first.image));
    expect(await readdir(folder.at('staging', 'm'))).toHaveLength(1);
  });

  it('leaves nothing whole behind when it is aborted, and what a killed attempt left is removed', async () => {
    const raw = await makePacked();
    await mkdir(folder.at('staging', 'm'), { recursive: true });
    await writeFile(folder.at('staging', 'm', '0-dead.img.1234.partial'), 'half');
    const machine = await folder.onlyMachine(from);
    const abort = new AbortController();
    const reason = new Error('stop');
    const context = createStepContext({ signal: abort.signal });
    const report = () => abort.abort(reason);
    const request = { from, machine, disk: '0', pass: 0, stagingFolder: folder.at('staging', 'm') };
    await expect(folder.openSource().export(request, { ...context, report })).rejects.toBe(reason);
    expect(await readdir(folder.at('staging', 'm'))).toEqual([]);
    const { image } = await exportPacked();
    expect(await folder.equalsRaw(image, raw)).toBe(true);
  });

  it('is refused where it is cut off or damaged', async () => {
    await makePacked();
    const whole = await readFile(folder.at('d.img.gz'));
    await writeFile(folder.at('d.img.gz'), whole.subarray(0, whole.length - 5_000));
    await expect(folder.machines(from)).rejects.toMatchObject({
      code: 'image-corrupt',
      message: expect.stringMatching(/d\.img\.gz.*cut off/),
    });
    whole.fill(0xff, 50_000, 50_100);
    await writeFile(folder.at('d.img.gz'), whole);
    await expect(folder.machines(from)).rejects.toMatchObject({ code: 'image-corrupt' });
  });

  it('is refused where the image inside is hostile', async () => {
    await run('qemu-img', [
      'create',
      '-f',
      'qcow2',
      '-b',
      '/etc/passwd',
      '-F',
      'raw',
      folder.at('d.img'),
      '4M',
    ]);
    await gzipFile(folder.at('d.img'), folder.at('d.img.gz'));
    await expect(folder.machines(from)).rejects.toMatchObject({
      code: 'image-hostile',
      context: { image: folder.at('d.img.gz') },
    });
  });

  it('is refused where it swells beyond the capacity that its descriptor gives', async () => {
    await writeFile(folder.at('d0.vmdk'), gzipSync(Buffer.alloc(100 * MIB)));
    await folder.writeOvf({ disks: [{ ...DISK, fileAttributes: 'ovf:compression="gzip"' }] });
    await expect(folder.machines({ path: 'shop.ovf' })).rejects.toMatchObject({
      code: 'image-hostile',
      message: expect.stringContaining('unpacks to more than'),
    });
  });

  it('is refused where staging has no space, before a byte is written', async () => {
    // 64 TiB less a bit: more than any test machine has, and quick to claim, since the verdict is made up here.
    await makePacked();
    const machine = await folder.onlyMachine(from);
    const [verdict = ''] = await readdir(folder.at('verdicts'));
    const kept = JSON.parse(await readFile(folder.at('verdicts', verdict), 'utf8')) as JsonObject;
    await writeFile(folder.at('verdicts', verdict), JSON.stringify({ ...kept, unpackedBytes: 2 ** 50 }));
    const request = { from, machine, disk: '0', pass: 0, stagingFolder: folder.at('staging', 'm') };
    await expect(folder.openSource().export(request, createStepContext())).rejects.toMatchObject({
      code: 'no-space',
      message: expect.stringMatching(/it takes 1 PiB, and .* has [\d.]+ [KMGT]iB free.*LANDFALL_STAGING/),
      context: { neededBytes: 2 ** 50 },
    });
    expect(await readdir(folder.at('staging', 'm'))).toEqual([]);
  });

  it('removes its scratch files', async () => {
    await makePacked();
    await folder.onlyMachine(from);
    expect(await readdir(folder.at('scratch'))).toEqual([]);
  });
});

function pathOf({ layout }: Image): string {
  if (layout.kind !== 'single') throw new Error(layout.kind);
  return layout.file.path;
}
