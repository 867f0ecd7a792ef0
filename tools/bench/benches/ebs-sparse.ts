/** Holes cost nothing: a large disk takes as long as a small one that holds the same. */
import { join } from 'node:path';
import { toRow } from '../bench-row.ts';
import type { Bench } from '../benches.ts';
import { makeSpreadDisk } from '../guest-disk.ts';

const GIB = 2 ** 30;
const SLICE_BYTES = 4 * 2 ** 20;
/** What a sparse disk is long beside what it holds. */
const SPARSE_TIMES = 200;
const DENSE_TIMES = 2;

export const ebsSparse: Bench = {
  name: 'ebs-sparse',
  summary: 'a disk of 200 GiB with 1 GiB of data to EBS direct, beside one of 2 GiB with the same',
  async run(ground) {
    const { signal, runs } = ground;
    await using folder = await ground.openFolder();
    await using cloud = await ground.openCloud({ dropsBlocks: true });
    const contentBytes = ground.dataBytes(GIB);
    const content = await ground.guestDisk(contentBytes);
    const spread = async (times: number): Promise<string> => {
      const path = join(folder.path, `${times}.raw`);
      const lengthBytes = times * contentBytes;
      await makeSpreadDisk({ path, lengthBytes, content, contentBytes, sliceBytes: SLICE_BYTES, signal });
      return path;
    };
    const [sparse, dense] = [await spread(SPARSE_TIMES), await spread(DENSE_TIMES)];
    const each = { landfall: [] as number[], peer: [] as number[] };
    for (let run = 0; run < runs; run += 1) {
      const large = await ground.upload({ cloud, disk: sparse, form: 'blocks' });
      const small = await ground.upload({ cloud, disk: dense, form: 'blocks' });
      each.landfall.push(large.elapsedMs / 1000);
      each.peer.push(small.elapsedMs / 1000);
    }
    return [
      toRow({
        name: 'ebs-sparse',
        unit: 's',
        each,
        against: 'the small disk',
        ratio: 'landfall/peer',
        goal: { of: 'ratio', atMost: 1.3 },
      }),
    ];
  },
};
