/**
 * Where a machine's bytes rest where they must: STAGING/RUN/MACHINE, with a folder for what the source unpacks and for
 * disks that are spooled. Only the machine's own steps touch it; import removes it, and
 * admit again, at the machine's site: import runs anywhere.
 */
import { rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { StepContext } from '../domain/ports.ts';

type Owner = { stagingFolder: string; record: { run: string; machine: { name: string } } };

/** For what the source must unpack, and for spooled disks; made by whoever writes there. */
export function sourceFolder(owner: Owner): string {
  return join(machineFolder(owner), 'source');
}

/** Removes all that the machine has in staging, and the run's folder with the last one. Idempotent. */
export async function removeStaging(owner: Owner): Promise<void> {
  await rm(machineFolder(owner), { recursive: true, force: true });
  await rmdir(runFolder(owner)).catch(() => {}); // other machines of the run still use it
}

/** As `removeStaging`, but a landing is not given up because a leftover file could not be removed. */
export async function tidyStaging(owner: Owner & { context: Pick<StepContext, 'log'> }): Promise<void> {
  try {
    await removeStaging(owner);
  } catch (error) {
    const { name } = owner.record.machine;
    owner.context.log('warn', `Staging of ${name} could not be removed and takes space: ${String(error)}`);
  }
}

/** A name as one path segment: whatever it holds, it neither leaves the folder nor splits. */
export function pathSegment(name: string): string {
  const encoded = encodeURIComponent(name);
  return /^\.+$/.test(encoded) ? encoded.replaceAll('.', '%2E') : encoded;
}

function machineFolder(owner: Owner): string {
  return join(runFolder(owner), pathSegment(owner.record.machine.name));
}

function runFolder({ stagingFolder, record }: Owner): string {
  return join(stagingFolder, pathSegment(record.run));
}
