/** Looks at what landed with the vendor's own client, and compares each disk with its source byte by byte. */
import { join } from 'node:path';
import { DescribeInstancesCommand, DescribeVolumesCommand, type Instance } from '@aws-sdk/client-ec2';
import { describeImage } from '../../src/images/describe-image.ts';
import { openImageOverNbd } from '../../src/images/qemu-nbd.ts';
import { compareImages } from '../images/qemu-img.ts';
import type { Ground } from './ground.ts';

export type Landed = { instance: Instance; snapshotIds: readonly string[] };

/** The one living instance of a machine and the snapshots that its disks were made of, in the order of its devices. */
export async function findLanded(
  { ec2 }: Ground,
  { run, machine }: { run: string; machine: string },
): Promise<Landed> {
  const Filters = [
    { Name: 'tag:landfall:run', Values: [run] },
    { Name: 'tag:landfall:machine', Values: [machine] },
    { Name: 'instance-state-name', Values: ['pending', 'running'] },
  ];
  const answer = await ec2.send(new DescribeInstancesCommand({ Filters }));
  const [instance, ...others] = (answer.Reservations ?? []).flatMap(({ Instances = [] }) => Instances);
  if (instance === undefined || others.length > 0) {
    throw new Error(
      `${machine} of ${run} has ${others.length + (instance === undefined ? 0 : 1)} instances, not one`,
    );
  }
  const VolumeIds = (instance.BlockDeviceMappings ?? []).flatMap(({ Ebs }) => Ebs?.VolumeId ?? []);
  const { Volumes = [] } = await ec2.send(new DescribeVolumesCommand({ VolumeIds }));
  const snapshotOf = new Map(Volumes.map(({ VolumeId, SnapshotId }) => [VolumeId, SnapshotId]));
  return { instance, snapshotIds: VolumeIds.map((id) => snapshotOf.get(id) ?? '') };
}

/** Which disks differ from their sources, as `SOURCE ≠ SNAPSHOT`; none when all landed whole. */
export async function differences(
  ground: Ground,
  { landed, sources }: { landed: Landed; sources: readonly string[] },
): Promise<string[]> {
  if (landed.snapshotIds.length !== sources.length) {
    return [`${landed.snapshotIds.length} disks landed, the source has ${sources.length}`];
  }
  const found: string[] = [];
  for (const [index, source] of sources.entries()) {
    const snapshotId = landed.snapshotIds[index] ?? '';
    if (!(await isSame(source, snapshotFile(ground, snapshotId)))) found.push(`${source} ≠ ${snapshotId}`);
  }
  return found;
}

/** Where the sandbox keeps what an import made: a raw file. */
function snapshotFile({ folder }: Ground, id: string): string {
  return join(folder, 'sandbox', 'ec2', 'snapshots', `${id}.raw`);
}

/** Does a raw file hold what an image holds? */
export async function isSame(source: string, raw: string): Promise<boolean> {
  const { signal } = new AbortController();
  const { image } = await describeImage({ path: source, signal });
  await using opened = await openImageOverNbd({ ...image, site: null }, signal);
  const right = {
    format: 'raw',
    file: { path: raw, offsetBytes: 0, lengthBytes: null },
  } as const;
  return await compareImages({ left: { uri: opened.uri }, right, signal });
}
