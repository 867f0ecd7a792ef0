/** What the dashboard's page weighs, as browsers fetch it. */
import { readdir, readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { gzipSync } from 'node:zlib';

/** An operator's phone at a slow uplink (1 Mbit/s) has it in 2 s. */
export const MAX_PAGE_BYTES = 250 * 1000;

export type PageWeight = { files: readonly { name: string; gzipBytes: number }[]; gzipBytes: number };

export async function weighPage(folder: string): Promise<PageWeight> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = await Promise.all(
    entries
      .filter((entry) => entry.isFile() && !entry.name.endsWith('.map'))
      .map(async (entry) => {
        const path = join(entry.parentPath, entry.name);
        return { name: relative(folder, path), gzipBytes: gzipSync(await readFile(path)).length };
      }),
  );
  files.sort((a, b) => b.gzipBytes - a.gzipBytes);
  return { files, gzipBytes: files.reduce((sum, file) => sum + file.gzipBytes, 0) };
}
