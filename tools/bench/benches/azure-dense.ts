/**
 * From a disk into a managed disk, where nothing can be left out, beside the storage SDK's own sample way: a VHD made by
 * qemu-img, of which one piece of 4 MiB is uploaded after the other.
 */
import { open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { AnonymousCredential, PageBlobClient } from '@azure/storage-blob';
import { runTool } from '../../../src/processes/child.ts';
import { type AzureCloud, startAzureCloud } from '../azure-cloud.ts';
import { toRow } from '../bench-row.ts';
import type { Bench } from '../benches.ts';
import { makeRandomDisk } from '../guest-disk.ts';
import { uploadToAzure } from '../upload-to-azure.ts';

const GIB = 2 ** 30;
const PIECE_BYTES = 4 * 2 ** 20;

export const azureDense: Bench = {
  name: 'azure-dense',
  summary: 'incompressible pages into a managed disk, beside qemu-img convert and then uploadPages of 4 MiB',
  async run(ground) {
    const { signal, runs } = ground;
    await using folder = await ground.openFolder();
    await using cloud = await startAzureCloud({ folder: folder.path, signal });
    const disk = join(folder.path, 'random.raw');
    await makeRandomDisk({ path: disk, lengthBytes: ground.dataBytes(2 * GIB), signal });
    const each = { landfall: [] as number[], peer: [] as number[] };
    for (let run = 0; run < runs; run += 1) {
      const { elapsedMs } = await uploadToAzure(ground, { cloud, disk });
      each.landfall.push(elapsedMs / 1000);
      const startedAt = performance.now();
      await convertThenUpload({ disk, file: join(folder.path, 'converted.vhd'), cloud, signal });
      each.peer.push((performance.now() - startedAt) / 1000);
    }
    return [
      toRow({
        name: 'azure-dense',
        unit: 's',
        each,
        against: 'qemu-img, uploadPages',
        ratio: 'landfall/peer',
        goal: { of: 'ratio', atMost: 0.3 },
      }),
    ];
  },
};

async function convertThenUpload(work: {
  disk: string;
  file: string;
  cloud: AzureCloud;
  signal: AbortSignal;
}): Promise<void> {
  const { disk, file, cloud, signal } = work;
  const format = ['-f', 'raw', '-O', 'vpc', '-o', 'subformat=fixed,force_size=on'];
  await runTool({ command: 'qemu-img', args: ['convert', ...format, disk, file], signal });
  await using vhd = await open(file, 'r');
  const { size } = await vhd.stat();
  const pages = new PageBlobClient(await cloud.openDisk(size), new AnonymousCredential());
  const piece = Buffer.alloc(PIECE_BYTES);
  for (let at = 0; at < size; at += PIECE_BYTES) {
    const { bytesRead } = await vhd.read(piece, 0, PIECE_BYTES, at);
    await pages.uploadPages(piece.subarray(0, bytesRead), at, bytesRead, { abortSignal: signal });
  }
  await rm(file);
}
