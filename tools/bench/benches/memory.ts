/** A worker's memory does not grow with the disk: 1 TiB beside 10 GiB with the same data, for both kinds of sink. */
import { join } from 'node:path';
import { type BenchRow, toRow } from '../bench-row.ts';
import type { Bench } from '../benches.ts';
import { makeSpreadDisk } from '../guest-disk.ts';

const GIB = 2 ** 30;
const MIB = 2 ** 20;
const SLICE_BYTES = 64 * MIB;
const LARGE_BYTES = 1024 * GIB;
const SMALL_BYTES = 10 * GIB;
const MAX_MIB = 300;
const MAX_RATIO = 1.1;

export const memory: Bench = {
  name: 'memory',
  summary: 'peak memory of a worker: 1 TiB with 4 GiB of data, beside 10 GiB with the same',
  async run(ground) {
    const { signal, runs } = ground;
    await using folder = await ground.openFolder();
    const contentBytes = ground.dataBytes(4 * GIB);
    // Half of it, twice: what is in it does not matter.
    const content = await ground.guestDisk(contentBytes / 2);
    const spread = async (lengthBytes: number): Promise<string> => {
      const path = join(folder.path, `${lengthBytes}.raw`);
      await makeSpreadDisk({ path, lengthBytes, content, contentBytes, sliceBytes: SLICE_BYTES, signal });
      return path;
    };
    const [large, small] = [await spread(LARGE_BYTES), await spread(SMALL_BYTES)];
    const rows: BenchRow[] = [];
    for (const form of ['parts', 'blocks'] as const) {
      const each = { landfall: [] as number[], peer: [] as number[] };
      for (let run = 0; run < runs; run += 1) {
        // What was uploaded goes with its cloud.
        await using cloud = await ground.openCloud({ dropsBlocks: true });
        each.landfall.push((await ground.upload({ cloud, disk: large, form })).peakBytes / MIB);
        each.peer.push((await ground.upload({ cloud, disk: small, form })).peakBytes / MIB);
      }
      const shared = { unit: 'MiB', each, against: 'the small disk', ratio: 'landfall/peer' } as const;
      rows.push(
        toRow({ ...shared, name: `memory-${form}`, goal: { of: 'landfall', atMost: MAX_MIB } }),
        toRow({ ...shared, name: `memory-${form}-growth`, goal: { of: 'ratio', atMost: MAX_RATIO } }),
      );
    }
    return rows;
  },
};
