/** The files under managed disks that a machine boots: made from the page blobs when needed, swept when nothing knows them. */
import { access, mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { createOverlay } from '../../boot/overlay.ts';
import { runTool } from '../../processes/child.ts';
import type { AzureCloud } from './cloud.ts';
import type { PageExtent } from './page-store.ts';
import type { ManagedDisk } from './state.ts';

const COPY_BYTES = 8 * 1024 * 1024;

/** An overlay of what was uploaded, or a blank disk; what machines wrote to it before is kept. */
export async function provideDisk(
  cloud: AzureCloud,
  disk: ManagedDisk,
  signal: AbortSignal,
): Promise<string> {
  const { files } = cloud;
  const path = files.overlay(disk.uniqueId);
  if (await exists(path)) return path;
  const partial = `${path}.partial`;
  await rm(partial, { force: true });
  const bytes = disk.diskSizeBytes;
  if (disk.uploadSizeBytes === null) {
    const args = ['create', '-q', '-f', 'qcow2', partial, String(bytes)];
    await runTool({ command: 'qemu-img', args, signal });
  } else {
    const backing = files.disk(disk.uniqueId);
    if (!(await exists(backing))) await copyPages({ cloud, disk, path: backing, signal });
    await createOverlay({ backing, backingFormat: 'raw', path: partial, bytes, signal });
  }
  await rename(partial, path);
  return path;
}

/** Makes the folders and removes what a killed sandbox left: half-written files, and files and blobs without a record. */
export async function sweepFiles({ store, files, pages }: AzureCloud): Promise<void> {
  const { disks, machines, snapshots = {} } = store.read();
  const needed = new Set([
    ...Object.values(disks).flatMap(({ uniqueId }) => [files.disk(uniqueId), files.overlay(uniqueId)]),
    ...Object.values(machines).map(({ vmId }) => files.machine(vmId)),
  ]);
  for (const folder of Object.values(files.folders)) {
    await mkdir(folder, { recursive: true });
    for (const name of await readdir(folder)) {
      const path = join(folder, name);
      if (!needed.has(path)) await rm(path, { recursive: true, force: true });
    }
  }
  const known = new Set([
    ...Object.values(disks).map(({ uniqueId }) => uniqueId),
    ...Object.values(snapshots).map(({ blobId }) => blobId),
  ]);
  for (const name of await pages.names()) {
    if (!known.has(name)) await pages.remove(name);
  }
}

/** A sparse raw file of the disk, without the VHD's footer. */
async function copyPages({
  cloud: { pages },
  disk: { uniqueId, diskSizeBytes },
  path,
  signal,
}: {
  cloud: AzureCloud;
  disk: ManagedDisk;
  path: string;
  signal: AbortSignal;
}): Promise<void> {
  const partial = `${path}.partial`;
  {
    await using file = await open(partial, 'w');
    await file.truncate(diskSizeBytes);
    for (const piece of cutPieces(await pages.extents(uniqueId), diskSizeBytes)) {
      const bytes = await pages.read(uniqueId, piece, signal);
      await file.write(bytes, 0, bytes.length, piece.offsetBytes);
    }
  }
  await rename(partial, path);
}

function* cutPieces(extents: readonly PageExtent[], endBytes: number): Generator<PageExtent> {
  for (const { offsetBytes, lengthBytes } of joinAdjacent(extents)) {
    const end = Math.min(offsetBytes + lengthBytes, endBytes);
    for (let at = offsetBytes; at < end; at += COPY_BYTES) {
      yield { offsetBytes: at, lengthBytes: Math.min(COPY_BYTES, end - at) };
    }
  }
}

function* joinAdjacent(extents: readonly PageExtent[]): Generator<PageExtent> {
  let last: PageExtent | null = null;
  for (const extent of extents) {
    if (last !== null && last.offsetBytes + last.lengthBytes === extent.offsetBytes) {
      last = { offsetBytes: last.offsetBytes, lengthBytes: last.lengthBytes + extent.lengthBytes };
      continue;
    }
    if (last !== null) yield last;
    last = extent;
  }
  if (last !== null) yield last;
}

async function exists(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  );
}
