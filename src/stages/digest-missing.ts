/** Reads blocks that the target holds and of which the digests were lost: what was sent is not sent again. */
import { copyMissing, type MissingCopy } from './copy-missing.ts';

/** Reading and hashing only: enough to keep the source busy. */
const LANES = 8;

/** Allocated blocks of zeros have no digest and are read too. */
export async function digestMissing(
  missing: Pick<MissingCopy, 'reader' | 'digests' | 'candidates' | 'writeZeros' | 'signal'>,
): Promise<void> {
  await copyMissing({ ...missing, lanes: LANES, write: async () => {} });
}
