/** Where tests keep kernels and guests from one run to the next; safe to share between test files at once. */
import { join, resolve } from 'node:path';
import { buildEstate, type Estate } from '../../../tools/estate/build.ts';

const TEST_CACHE = resolve(import.meta.dirname, '../../../.landfall/test-cache');

/** `cacheFolder` of `buildTestGuest`. */
export const GUEST_CACHE = join(TEST_CACHE, 'guest-cache');

/** The estate that the demo migrates: built once, then found. */
export async function provideTestEstate(): Promise<Estate> {
  return buildEstate({ folder: join(TEST_CACHE, 'estate'), cacheFolder: GUEST_CACHE, log: () => undefined });
}
