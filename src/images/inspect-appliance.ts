/** What `landfall inspect` shows: the machines that a path holds, as Landfall understands them. */
import { rm } from 'node:fs/promises';
import type { Machine } from '../domain/machine.ts';
import { makeScratchFolder } from '../processes/scratch-folder.ts';
import { readAppliance } from './appliance.ts';
import { createVerdicts, verdictFolder } from './manifest-verdicts.ts';

export type InspectOptions = { path: string; cacheFolder: string; signal: AbortSignal };

/** Throws `image-…` errors, `digest-mismatch`, `source-not-off`. */
export async function inspectPath({ path, cacheFolder, signal }: InspectOptions): Promise<Machine[]> {
  const scratchFolder = await makeScratchFolder('inspect');
  try {
    const verdicts = createVerdicts(verdictFolder(cacheFolder));
    const found = await readAppliance(path, { signal, verdicts, scratchFolder });
    return found.map(({ machine }) => machine);
  } finally {
    await rm(scratchFolder, { recursive: true, force: true });
  }
}
