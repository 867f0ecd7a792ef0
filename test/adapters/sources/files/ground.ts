/** Opens the source `files` over a folder made for one test. */
import { mkdir, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { createFilesSource } from '../../../../adapters/sources/files/source.ts';
import type { JsonObject } from '../../../../src/domain/json.ts';
import type { Source } from '../../../../src/domain/ports.ts';
import { filesOf } from '../../../../src/images/fingerprint.ts';
import { makeTempFolder } from '../../../images/make-appliance.ts';
import type { SourceGround } from '../contract.ts';

export type Made = { from: JsonObject; contents: Record<string, string> };

/** `make` puts the machine into the folder; paths in `from` are relative to it. */
export async function openFilesGround(make: (folder: string) => Promise<Made>): Promise<SourceGround> {
  const folder = await makeTempFolder();
  const made = await make(folder.path);
  const scratch = join(folder.path, 'scratch');
  await mkdir(scratch);
  return {
    ...made,
    openSource: () => openFilesSource(folder.path),
    stagingFolder: join(folder.path, 'staging', 'run', 'machine'),
    disturb: async ({ layout }) => {
      for (const path of filesOf(layout)) await utimes(path, new Date(), new Date(0));
    },
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  };
}

/** `folder` is the wave's folder; `folder/scratch` must be there where something is compressed. */
export function openFilesSource(folder: string): Source {
  return createFilesSource(
    {},
    { waveFolder: folder, scratchFolder: join(folder, 'scratch'), cacheFolder: folder },
  );
}
