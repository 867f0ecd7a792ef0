/** The files under snapshots and volumes: made when needed, swept when nothing knows them. */
import { access, mkdir, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { createOverlay } from '../../boot/overlay.ts';
import { runTool } from '../../processes/child.ts';
import type { Ec2Cloud, Ec2Files } from './cloud.ts';
import { GIB, type Snapshot, type Volume } from './state.ts';

/** An overlay of the snapshot, or a blank disk, of the volume's size; what is there already is kept. */
export async function provideVolume({
  cloud,
  volume,
  signal,
}: {
  cloud: Ec2Cloud;
  volume: Volume;
  signal: AbortSignal;
}): Promise<void> {
  const path = cloud.files.volume(volume.id);
  if (await exists(path)) return;
  const partial = `${path}.partial`;
  await rm(partial, { force: true });
  const bytes = volume.sizeGib * GIB;
  if (volume.snapshotId === null) {
    await runTool({
      command: 'qemu-img',
      args: ['create', '-q', '-f', 'qcow2', partial, String(bytes)],
      signal,
    });
  } else {
    const backing = cloud.files.snapshot(volume.snapshotId);
    await createOverlay({ backing, backingFormat: 'raw', path: partial, bytes, signal });
  }
  await rename(partial, path);
}

/** Makes the folders and removes what a killed sandbox left: half-written files and those without a record. */
export async function sweepFiles({ store, files }: Ec2Cloud): Promise<void> {
  const { folders } = files;
  for (const folder of Object.values(folders)) await mkdir(folder, { recursive: true });
  const { snapshots, volumes, instances } = store.read();
  const needed = new Set([
    ...Object.values(snapshots).flatMap((snapshot) => filesOf(files, snapshot)),
    ...Object.values(volumes).flatMap(({ snapshotId }) =>
      snapshotId === null ? [] : files.snapshot(snapshotId),
    ),
    ...Object.keys(volumes).map((id) => files.volume(id)),
    ...Object.values(instances)
      .filter(({ state }) => state !== 'terminated')
      .map(({ id }) => files.instance(id)),
  ]);
  for (const folder of [folders.snapshots, folders.volumes, folders.downloads, folders.instances]) {
    for (const name of await readdir(folder)) {
      const path = join(folder, name);
      if (!needed.has(path)) await rm(path, { recursive: true, force: true });
    }
  }
}

/** A snapshot that is written block by block outlives the sandbox with the blocks that it has; an import begins anew. */
function filesOf(files: Ec2Files, { id, state, writing }: Snapshot): string[] {
  if (state !== 'pending' || writing === undefined) return [files.snapshot(id)];
  const parent = writing.parentId === null ? [] : [files.snapshot(writing.parentId)];
  return [files.snapshot(id), files.partialSnapshot(id), files.blockLog(id), ...parent];
}

async function exists(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  );
}
