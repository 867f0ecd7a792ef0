/**
 * Before an upload goes on, some of what is held is read again: the last block and sixteen others. A source whose
 * fingerprint says nothing of a change (a clock set back, a storage that lies) is caught here, before two states mix.
 */
import { hash, randomInt } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { BLOCKS_PER_PAGE, type DigestTree } from '../blocks/digest-tree.ts';
import type { DiskReader } from '../blocks/disk-reader.ts';
import { BLOCK_BYTES } from '../blocks/stream-encoder.ts';
import { formatBytes } from '../domain/byte-size.ts';
import { LandfallError } from '../domain/errors.ts';
import type { StepInput } from './step-input.ts';

const RANDOM_BLOCKS = 16;
/** Looking through a page takes about a microsecond. */
const PAGES_PER_TURN = 4_096;

export async function compareHeldBlocks(comparison: {
  input: StepInput;
  disk: string;
  reader: Pick<DiskReader, 'readBlock'>;
  tree: DigestTree;
  signal: AbortSignal;
}): Promise<void> {
  const { input, disk, reader, tree, signal } = comparison;
  const bytes = Buffer.allocUnsafeSlow(BLOCK_BYTES);
  for (const index of await sampleOf(tree)) {
    await reader.readBlock(index, bytes, signal);
    const found = hash('sha256', bytes, 'buffer');
    if (tree.get(index)?.equals(found) === true) continue;
    throw changed(input, disk, index);
  }
}

/** By pages, since a full disk of 16 TiB has 33 million blocks and only a quarter of a million pages. */
async function sampleOf(tree: DigestTree): Promise<Set<number>> {
  const pages: number[] = [];
  for (let number = 0; number < tree.pageCount; number += 1) {
    if (number % PAGES_PER_TURN === 0) await nextTurn();
    if (tree.page(number) !== null) pages.push(number);
  }
  const last = pages.at(-1);
  if (last === undefined) return new Set();
  const random = Array.from({ length: RANDOM_BLOCKS }, () => pages[randomInt(pages.length)] ?? last);
  return new Set([
    ...blocksIn(tree, last).slice(-1),
    ...random.map((page) => blocksIn(tree, page)).map((blocks) => blocks[randomInt(blocks.length)] as number),
  ]);
}

function blocksIn(tree: DigestTree, page: number): number[] {
  const first = page * BLOCKS_PER_PAGE;
  const end = Math.min(tree.blockCount, first + BLOCKS_PER_PAGE);
  return Array.from({ length: end - first }, (_, slot) => first + slot).filter(
    (index) => tree.get(index) !== null,
  );
}

function changed({ record }: StepInput, disk: string, index: number): LandfallError {
  const { name } = record.machine;
  const offsetBytes = index * BLOCK_BYTES;
  return new LandfallError({
    code: 'source-changed',
    message: `Disk ${disk} of ${name} does not hold at ${formatBytes(offsetBytes)} (offset ${offsetBytes}) what was uploaded from there: it changed since. Keep the machine off and its files untouched, then \`landfall discard ${record.run} ${name}\` and \`landfall retry ${record.run} ${name}\` copy it afresh.`,
    context: { machine: name, disk, offsetBytes },
  });
}
