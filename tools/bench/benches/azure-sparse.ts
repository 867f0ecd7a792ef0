/** Holes cost nothing on the way to Azure either: neither time nor memory grows with the disk. */
import { join } from 'node:path';
import { startAzureCloud } from '../azure-cloud.ts';
import { toRow } from '../bench-row.ts';
import type { Bench } from '../benches.ts';
import { makeSpreadDisk } from '../guest-disk.ts';
import { uploadToAzure } from '../upload-to-azure.ts';

const GIB = 2 ** 30;
const MIB = 2 ** 20;
const SLICE_BYTES = 4 * MIB;
/** What disks are long beside what they hold: 1 TiB, 200 GiB and 2 GiB with 1 GiB. */
const HUGE_TIMES = 1024;
const SPARSE_TIMES = 200;
const DENSE_TIMES = 2;
const MAX_MIB = 300;

export const azureSparse: Bench = {
  name: 'azure-sparse',
  summary:
    'a disk of 200 GiB with 1 GiB of data into a managed disk, beside one of 2 GiB with the same; memory at 1 TiB',
  async run(ground) {
    const { signal, runs } = ground;
    await using folder = await ground.openFolder();
    await using cloud = await startAzureCloud({ folder: folder.path, signal });
    const contentBytes = ground.dataBytes(GIB);
    const content = await ground.guestDisk(contentBytes);
    const spread = async (times: number): Promise<string> => {
      const path = join(folder.path, `${times}.raw`);
      const lengthBytes = times * contentBytes;
      await makeSpreadDisk({ path, lengthBytes, content, contentBytes, sliceBytes: SLICE_BYTES, signal });
      return path;
    };
    const [huge, sparse, dense] = [
      await spread(HUGE_TIMES),
      await spread(SPARSE_TIMES),
      await spread(DENSE_TIMES),
    ];
    const seconds = { landfall: [] as number[], peer: [] as number[] };
    const peaks = { landfall: [] as number[], peer: [] as number[] };
    for (let run = 0; run < runs; run += 1) {
      const large = await uploadToAzure(ground, { cloud, disk: sparse });
      const small = await uploadToAzure(ground, { cloud, disk: dense });
      seconds.landfall.push(large.elapsedMs / 1000);
      seconds.peer.push(small.elapsedMs / 1000);
      peaks.landfall.push((await uploadToAzure(ground, { cloud, disk: huge })).peakBytes / MIB);
      peaks.peer.push(small.peakBytes / MIB);
    }
    const shared = { against: 'the small disk', ratio: 'landfall/peer' } as const;
    return [
      toRow({
        ...shared,
        name: 'azure-sparse',
        unit: 's',
        each: seconds,
        goal: { of: 'ratio', atMost: 1.3 },
      }),
      toRow({
        ...shared,
        name: 'azure-memory',
        unit: 'MiB',
        each: peaks,
        goal: { of: 'landfall', atMost: MAX_MIB },
      }),
    ];
  },
};
