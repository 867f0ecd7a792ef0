/** How fast a disk can be read over NBD, where nothing else is done. */
import { openImageOverNbd } from '../../../src/images/qemu-nbd.ts';
import { runTool } from '../../../src/processes/child.ts';
import { toRow } from '../bench-row.ts';
import type { Bench } from '../benches.ts';
import { runTransfer } from '../transfer.ts';

const GIB = 2 ** 30;
const MB = 1e6;

export const read: Bench = {
  name: 'read',
  summary: 'a disk over NBD to nothing, beside nbdcopy',
  async run(ground) {
    const { signal, runs } = ground;
    const bytes = ground.dataBytes(2 * GIB);
    const path = await ground.guestDisk(bytes);
    const file = { path, offsetBytes: 0, lengthBytes: null };
    const layout = { kind: 'single', format: 'raw', file } as const;
    await using image = await openImageOverNbd({ site: null, bytes, layout }, signal);
    const each = { landfall: [] as number[], peer: [] as number[] };
    for (let run = 0; run < runs; run += 1) {
      const { elapsedMs } = ground.keep(
        await runTransfer({ job: { kind: 'read', uri: image.uri }, environment: {}, signal }),
      );
      each.landfall.push(bytes / MB / (elapsedMs / 1000));
      const startedAt = performance.now();
      await runTool({ command: 'nbdcopy', args: [image.uri, 'null:'], signal });
      each.peer.push(bytes / MB / ((performance.now() - startedAt) / 1000));
    }
    return [
      toRow({
        name: 'read',
        unit: 'MB/s',
        each,
        against: 'nbdcopy',
        ratio: 'landfall/peer',
        goal: { of: 'ratio', atLeast: 0.8 },
      }),
    ];
  },
};
