/** A folder that is made once and reused while its recipe stays the same. */
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { lockFolder } from './build-lock.ts';

export type CachedFolder = {
  folder: string;
  /** Hash of everything the content depends on. */
  recipe: string;
  /** Fills the empty folder it is given. */
  build: (folder: string) => Promise<void>;
  signal?: AbortSignal;
};

const RECIPE_FILE = 'recipe';

/** Afterwards the folder is whole. A build that is cut short leaves a `.partial` folder, which the next one removes. */
export async function provideFolder({ folder, recipe, build, signal }: CachedFolder): Promise<void> {
  await mkdir(dirname(folder), { recursive: true });
  await using _lock = await lockFolder(folder, signal);
  if ((await recipeOf(folder)) === recipe) return;
  const partial = `${folder}.partial`;
  await rm(partial, { recursive: true, force: true });
  await mkdir(partial);
  await build(partial);
  await writeFile(join(partial, RECIPE_FILE), recipe);
  await rm(folder, { recursive: true, force: true });
  await rename(partial, folder);
}

async function recipeOf(folder: string): Promise<string | null> {
  try {
    return await readFile(join(folder, RECIPE_FILE), 'utf8');
  } catch {
    return null;
  }
}
