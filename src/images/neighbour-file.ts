/** Files that a descriptor names lie beside it, and nowhere else: a name from a stranger must not reach other files. */
import { readdir, realpath } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileError } from '../blocks/file-error.ts';
import { isBasename } from './ova.ts';
import { hostileImage } from './refusal.ts';

/**
 * The absolute path of `name` in the (real) folder, null where there is none. A symbolic link may lead to another name
 * in the same folder only. `label` is who names it. Throws `image-hostile` or `image-unreadable`.
 */
export async function findNeighbour(wanted: {
  folder: string;
  name: string;
  label: string;
}): Promise<string | null> {
  const { folder, name, label } = wanted;
  if (!isBasename(name)) {
    throw hostileImage({
      label,
      found: `it names ${JSON.stringify(name)}, which is no plain file name`,
      remedy: 'Put the file into the same folder and name it by its plain name.',
      context: { name },
    });
  }
  const path = join(folder, name);
  const target = await realpath(path).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw fileError(path, error);
  });
  if (target === null) return null;
  if (dirname(target) === (await realpath(folder))) return path;
  throw hostileImage({
    label,
    found: `${name} is a link to ${target}, outside of its folder`,
    remedy: 'Put the file itself into the folder, if you trust it.',
    context: { name, target },
  });
}

/** The names in a folder, sorted. Throws `image-missing` or `image-unreadable`. */
export async function listNames(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder)).sort();
  } catch (error) {
    throw fileError(folder, error);
  }
}
