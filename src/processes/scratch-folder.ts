/**
 * Private folders in the OS's temp folder, for sockets (their paths end at 108 bytes) and scratch. Their names carry the
 * owner's process id and start time, so that whoever starts next can remove what a killed owner left. The id alone would
 * not do: ids are used again, and in a container every owner is process 1.
 */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const NAME = /^landfall-[a-z]+-(\d+)-(\d+)-\w{6}$/;

/** Makes `PARENT/landfall-KIND-PID-START-XXXXXX`, readable by its owner only. The caller removes it. */
export async function makeScratchFolder(kind: string, parent = tmpdir()): Promise<string> {
  const start = (await startTime(process.pid)) ?? '0';
  return mkdtemp(join(parent, `landfall-${kind}-${process.pid}-${start}-`));
}

/** Removes the folders of processes that are gone; what belongs to other users is left alone. */
export async function sweepScratchFolders(): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    const [, pid, start = ''] = NAME.exec(name) ?? [];
    // Whoever cannot be asked after may live.
    const isGone = pid !== undefined && (await startTime(Number(pid)).catch(() => start)) !== start;
    if (!isGone) continue;
    await rm(join(tmpdir(), name), { recursive: true, force: true }).catch(() => {});
  }
}

/** In clock ticks since the host started, field 22 of proc_pid_stat(5); null when there is no such process. */
async function startTime(pid: number): Promise<string | null> {
  const stat = await readFile(`/proc/${pid}/stat`, 'latin1').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ESRCH') return null;
    throw error;
  });
  if (stat === null) return null;
  // The name, field 2, is in brackets and may hold blanks and brackets itself.
  const fromThird = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fromThird[22 - 3] ?? null;
}
