/** How fast blocks of EBS direct can be sent where nothing can be left out, to a server that checks and drops them. */
import { join } from 'node:path';
import { BLOCK_BYTES } from '../../../src/blocks/stream-encoder.ts';
import { runTool } from '../../../src/processes/child.ts';
import { toRow } from '../bench-row.ts';
import type { Bench } from '../benches.ts';
import { makeRandomDisk } from '../guest-disk.ts';

const GIB = 2 ** 30;
const MB = 1e6;
const HASH_SECONDS = 3;

export const ebsDense: Bench = {
  name: 'ebs-dense',
  summary: 'incompressible blocks to EBS direct, beside what one core hashes (openssl speed)',
  async run(ground) {
    const { signal, runs } = ground;
    await using folder = await ground.openFolder();
    await using cloud = await ground.openCloud({ dropsBlocks: true });
    const lengthBytes = ground.dataBytes(2 * GIB);
    const disk = join(folder.path, 'random.raw');
    await makeRandomDisk({ path: disk, lengthBytes, signal });
    const speeds = { landfall: [] as number[], peer: [] as number[] };
    const cpuMs: number[] = [];
    for (let run = 0; run < runs; run += 1) {
      const figures = await ground.upload({ cloud, disk, form: 'blocks' });
      speeds.landfall.push(lengthBytes / MB / (figures.elapsedMs / 1000));
      cpuMs.push(figures.cpuMs / (lengthBytes / BLOCK_BYTES));
      speeds.peer.push((await hashSpeed(signal)) / MB);
    }
    return [
      toRow({
        name: 'ebs-dense',
        unit: 'MB/s',
        each: speeds,
        against: 'SHA-256 on one core',
        ratio: 'landfall/peer',
        goal: { of: 'ratio', atLeast: 0.2 },
      }),
      toRow({
        name: 'ebs-dense-cpu',
        unit: 'ms a block',
        each: { landfall: cpuMs, peer: [] },
        against: 'nothing',
        ratio: 'none',
        goal: { of: 'landfall', atMost: 1.6 },
      }),
    ];
  },
};

/** Bytes a second of one core. */
async function hashSpeed(signal: AbortSignal): Promise<number> {
  const size = ['-seconds', String(HASH_SECONDS), '-bytes', String(BLOCK_BYTES)];
  const { stdout } = await runTool({ command: 'openssl', args: ['speed', '-mr', ...size, 'sha256'], signal });
  const [, speed] = /^\+F:\d+:sha256:([\d.]+)$/m.exec(stdout) ?? [];
  if (speed === undefined) throw new Error(`openssl speed told no speed: ${stdout}`);
  return Number(speed);
}
