/** From a disk to a stream-optimised VMDK in S3: what `via: import-snapshot` waits for. */
import { rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { runTool } from '../../../src/processes/child.ts';
import { toRow } from '../bench-row.ts';
import type { Bench } from '../benches.ts';
import type { Cloud } from '../cloud.ts';

const GIB = 2 ** 30;
const MIB = 2 ** 20;

export const vmdk: Bench = {
  name: 'vmdk',
  summary: 'a disk to a VMDK in S3, beside qemu-img convert and then rclone',
  async run(ground) {
    const { signal, runs } = ground;
    await using folder = await ground.openFolder();
    await using cloud = await ground.openCloud();
    const disk = await ground.guestDisk(ground.dataBytes(GIB));
    const seconds = { landfall: [] as number[], peer: [] as number[] };
    const sizes = { landfall: [] as number[], peer: [] as number[] };
    for (let run = 0; run < runs; run += 1) {
      const { elapsedMs, artifactBytes } = await ground.upload({ cloud, disk, form: 'parts' });
      seconds.landfall.push(elapsedMs / 1000);
      sizes.landfall.push(artifactBytes / MIB);
      const startedAt = performance.now();
      const file = join(folder.path, 'converted.vmdk');
      await convertThenCopy({ disk, file, cloud, signal });
      seconds.peer.push((performance.now() - startedAt) / 1000);
      sizes.peer.push((await stat(file)).size / MIB);
      await rm(file);
    }
    const against = 'qemu-img, rclone';
    return [
      toRow({
        name: 'vmdk',
        unit: 's',
        each: seconds,
        against,
        ratio: 'peer/landfall',
        goal: { of: 'ratio', atLeast: 4 },
      }),
      toRow({
        name: 'vmdk-size',
        unit: 'MiB',
        each: sizes,
        against: 'qemu-img',
        ratio: 'landfall/peer',
        goal: { of: 'ratio', atMost: 1.08 },
      }),
    ];
  },
};

async function convertThenCopy(work: { disk: string; file: string; cloud: Cloud; signal: AbortSignal }) {
  const { disk, file, cloud, signal } = work;
  const format = ['-f', 'raw', '-O', 'vmdk', '-o', 'subformat=streamOptimized'];
  await runTool({ command: 'qemu-img', args: ['convert', ...format, disk, file], signal });
  const { AWS_REGION: region = '' } = cloud.environment;
  const place = ['--s3-provider=Other', `--s3-endpoint=${cloud.url}`, `--s3-region=${region}`];
  const plain = ['--config=', '--s3-env-auth', '--s3-no-check-bucket', '--retries=1'];
  const args = [...plain, ...place, 'copyto', file, `:s3:${cloud.bucket}/converted.vmdk`];
  await runTool({ command: 'rclone', args, environment: cloud.environment, signal });
}
