/** The package's version, read from package.json: beside `src` in a clone, beside `dist` in the package. */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

export const VERSION = readVersion(import.meta.dirname);

function readVersion(folder: string): string {
  const file = join(folder, 'package.json');
  try {
    return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
  } catch {
    const parent = dirname(folder);
    return parent === folder ? 'unknown' : readVersion(parent);
  }
}
