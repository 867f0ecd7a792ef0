/**
 * Private folders in the OS's temp folder, for sockets (their paths end at 108 bytes) and scratch. Their names carry the
 * owner's process id, so that whoever starts next can remove what a killed owner left.
 */
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const NAME = /^landfall-[a-z]+-(\d+)-\w{6}$/;

/** Makes `TMP/landfall-KIND-PID-XXXXXX`, readable by its owner only. The caller removes it. */
export function makeScratchFolder(kind: string): Promise<string> {
  return mkdtemp(join(tmpdir(), `landfall-${kind}-${process.pid}-`));
}

/** Removes the folders of processes that are gone; what belongs to other users is left alone. */
export async function sweepScratchFolders(): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    const pid = NAME.exec(name)?.[1];
    if (pid === undefined || isAlive(Number(pid))) continue;
    await rm(join(tmpdir(), name), { recursive: true, force: true }).catch(() => {});
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}
