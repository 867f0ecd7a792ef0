/**
 * Extents: which bytes of a disk hold data and which read as zeros, as sorted sequences and algebra over them. A map of
 * a big disk can have millions of entries, so nothing here holds one: generators over generators, a few extents at a time.
 *
 * Every sequence is in ascending order and without overlaps; it may have gaps (bytes that nobody asks about). A caller
 * that breaks this gets a RangeError rather than a wrong disk.
 */
import { LandfallError } from '../domain/errors.ts';

export type ExtentKind = 'data' | 'zero';

export type Extent = { offsetBytes: number; lengthBytes: number; kind: ExtentKind };

/** What `readExtents` needs of an NBD client. */
export type AllocationClient = {
  bytes: number;
  contexts: readonly string[];
  blockStatus(
    request: { context: string; offsetBytes: number; lengthBytes: number },
    signal: AbortSignal,
  ): Promise<readonly { lengthBytes: number; flags: number }[]>;
};

/** Blocks from `from` to before `end`. */
export type BlockRun = { from: number; end: number };

export const ALLOCATION_CONTEXT = 'base:allocation';

/**
 * Bytes per question. Servers cap their answers (qemu at 131,072 extents, often far lower), so this bounds what one
 * answer takes in memory: 1 GiB of 64 KiB clusters is 16,384 extents at worst. 1 TiB takes 1,024 questions.
 */
const WINDOW_BYTES = 1024 ** 3;

/** NBD protocol, "Metadata querying": bit 1 of base:allocation is NBD_STATE_ZERO. A hole without it may read as anything. */
const STATE_ZERO = 2;

/** Joins neighbours that touch and are of one kind; drops empty extents. */
export function* mergeExtents(extents: Iterable<Extent>): Generator<Extent, void> {
  let open: Extent | null = null;
  for (const extent of inOrder(extents)) {
    const joined: Extent | null = joinExtents(open, extent);
    if (joined === null && open !== null) yield open;
    open = joined ?? extent;
  }
  if (open !== null) yield open;
}

/** What of `extents` no extent of `removed` covers, whatever the kind of those. */
export function* subtractExtents(
  extents: Iterable<Extent>,
  removed: Iterable<Extent>,
): Generator<Extent, void> {
  using removals = cursorOver(inOrder(removed));
  for (const extent of inOrder(extents)) {
    const { kind } = extent;
    const end = endOf(extent);
    let from = extent.offsetBytes;
    while (from < end) {
      const removal = removals.current();
      if (removal !== null && endOf(removal) <= from) {
        removals.advance();
        continue;
      }
      const keptTo = removal === null ? end : Math.min(end, Math.max(from, removal.offsetBytes));
      if (keptTo > from) yield { offsetBytes: from, lengthBytes: keptTo - from, kind };
      from = removal === null ? end : Math.max(keptTo, Math.min(end, endOf(removal)));
    }
  }
}

/**
 * Grows extents to whole blocks (the last one ends at `endBytes`), merged. A block is zero only where zero extents cover
 * it whole; any other block that an extent touches is data, for it must be read; an untouched block is in no extent.
 */
export function alignOut(
  extents: Iterable<Extent>,
  { blockBytes, endBytes }: { blockBytes: number; endBytes: number },
): Generator<Extent, void> {
  return mergeExtents(alignEach(extents, { blockBytes, endBytes }));
}

function* alignEach(
  extents: Iterable<Extent>,
  { blockBytes, endBytes }: { blockBytes: number; endBytes: number },
): Generator<Extent, void> {
  /** The block that is covered in part so far; what comes next may cover the rest of it. */
  let partial = { block: -1, zeroBytes: 0 };
  const blocks = (first: number, end: number, kind: ExtentKind): Extent => {
    const offsetBytes = first * blockBytes;
    return { offsetBytes, lengthBytes: Math.min(end * blockBytes, endBytes) - offsetBytes, kind };
  };
  const settled = (): Extent[] => {
    if (partial.block === -1) return [];
    const block = blocks(partial.block, partial.block + 1, 'data');
    return [{ ...block, kind: partial.zeroBytes === block.lengthBytes ? 'zero' : 'data' }];
  };
  for (const extent of inOrder(extents)) {
    if (endOf(extent) > endBytes) throw new RangeError(`an extent ends at ${endOf(extent)} of ${endBytes}`);
    for (const piece of cutAtBlocks(extent, blockBytes)) {
      const block = Math.floor(piece.offsetBytes / blockBytes);
      const end = Math.floor(endOf(piece) / blockBytes);
      if (block !== partial.block) {
        yield* settled();
        partial = { block: -1, zeroBytes: 0 };
      }
      if (piece.offsetBytes === block * blockBytes && end > block) yield blocks(block, end, piece.kind);
      else {
        const zeroBytes = piece.kind === 'zero' ? piece.lengthBytes : 0;
        partial = { block, zeroBytes: partial.zeroBytes + zeroBytes };
      }
    }
  }
  yield* settled();
}

/** The part before the first block boundary, the whole blocks, and the part after the last boundary: what there is of them. */
function* cutAtBlocks(extent: Extent, blockBytes: number): Generator<Extent, void> {
  const { offsetBytes, kind } = extent;
  const end = endOf(extent);
  const wholeFrom = Math.min(end, Math.ceil(offsetBytes / blockBytes) * blockBytes);
  const wholeTo = Math.max(wholeFrom, Math.floor(end / blockBytes) * blockBytes);
  const bounds = [offsetBytes, wholeFrom, wholeTo, end] as const;
  for (const [index, from] of bounds.slice(0, 3).entries()) {
    const to = bounds[index + 1] as number;
    if (to > from) yield { offsetBytes: from, lengthBytes: to - from, kind };
  }
}

/** The index of each block that a data extent touches, once, ascending. */
export function* splitIntoBlocks(extents: Iterable<Extent>, blockBytes: number): Generator<number, void> {
  let next = 0;
  for (const extent of inOrder(extents)) {
    const touched = touchedBlocks(extent, { blockBytes, next });
    for (let block = touched.from; block < touched.end; block += 1) yield block;
    next = Math.max(next, touched.end);
  }
}

/** Runs of the blocks from `firstBlock` on that data touches, each block once, over a map that is still being read. */
export async function* streamBlockRuns(
  extents: AsyncIterable<Extent>,
  { blockBytes, firstBlock }: { blockBytes: number; firstBlock: number },
): AsyncGenerator<BlockRun, void> {
  let next = firstBlock;
  for await (const extent of extents) {
    const touched = touchedBlocks(extent, { blockBytes, next });
    if (touched.end <= touched.from) continue;
    yield touched;
    next = touched.end;
  }
}

/** Of one extent, from block `next` on: extents of one block would give it twice. */
function touchedBlocks(extent: Extent, { blockBytes, next }: { blockBytes: number; next: number }): BlockRun {
  if (extent.kind !== 'data' || extent.lengthBytes === 0) return { from: next, end: next };
  const from = Math.floor(extent.offsetBytes / blockBytes);
  return { from: Math.max(next, from), end: Math.ceil(endOf(extent) / blockBytes) };
}

/**
 * The allocation of a disk from `fromBytes` to its end, merged and without gaps, read as far as it is asked for. Where
 * the server does not tell (no `base:allocation`), everything is data. Throws `image-unreadable` when the server answers
 * with nothing, and what the client throws.
 */
export async function* readExtents(
  client: AllocationClient,
  { fromBytes = 0, signal }: { fromBytes?: number; signal: AbortSignal },
): AsyncGenerator<Extent, void> {
  if (!client.contexts.includes(ALLOCATION_CONTEXT)) {
    if (client.bytes > fromBytes) {
      yield { offsetBytes: fromBytes, lengthBytes: client.bytes - fromBytes, kind: 'data' };
    }
    return;
  }
  let open: Extent | null = null;
  for (let atBytes = fromBytes; atBytes < client.bytes; ) {
    const window = { offsetBytes: atBytes, lengthBytes: Math.min(WINDOW_BYTES, client.bytes - atBytes) };
    const answer = await client.blockStatus({ context: ALLOCATION_CONTEXT, ...window }, signal);
    for (const extent of extentsOf(answer, window)) {
      atBytes = endOf(extent);
      const joined: Extent | null = joinExtents(open, extent);
      if (joined === null && open !== null) yield open;
      open = joined ?? extent;
    }
    if (atBytes === window.offsetBytes) throw saysNothing(window);
  }
  if (open !== null) yield open;
}

/** An answer may end before the window does, and its last entry may reach beyond it (NBD protocol, BLOCK_STATUS). */
function* extentsOf(
  answer: readonly { lengthBytes: number; flags: number }[],
  window: { offsetBytes: number; lengthBytes: number },
): Generator<Extent, void> {
  const windowEnd = window.offsetBytes + window.lengthBytes;
  let offsetBytes = window.offsetBytes;
  for (const { lengthBytes, flags } of answer) {
    const end = Math.min(windowEnd, offsetBytes + lengthBytes);
    if (end === offsetBytes) continue;
    yield { offsetBytes, lengthBytes: end - offsetBytes, kind: (flags & STATE_ZERO) === 0 ? 'data' : 'zero' };
    offsetBytes = end;
  }
}

function saysNothing(window: { offsetBytes: number; lengthBytes: number }): LandfallError {
  return new LandfallError({
    code: 'image-unreadable',
    message: `Asked which of the ${window.lengthBytes} bytes at ${window.offsetBytes} are allocated, the NBD server answered without an extent. Its map cannot be trusted: serve the disk with another server, such as qemu-nbd.`,
    context: { ...window },
  });
}

function endOf({ offsetBytes, lengthBytes }: Extent): number {
  return offsetBytes + lengthBytes;
}

/** null where they do not touch or are of two kinds. */
function joinExtents(extent: Extent | null, next: Extent): Extent | null {
  if (extent === null || extent.kind !== next.kind || endOf(extent) !== next.offsetBytes) return null;
  return { ...extent, lengthBytes: extent.lengthBytes + next.lengthBytes };
}

function* inOrder(extents: Iterable<Extent>): Generator<Extent, void> {
  let reachedBytes = 0;
  for (const extent of extents) {
    if (extent.lengthBytes === 0) continue;
    const isPlaced = Number.isSafeInteger(endOf(extent)) && extent.lengthBytes > 0;
    if (!isPlaced || extent.offsetBytes < reachedBytes) {
      throw new RangeError(
        `extent of ${extent.lengthBytes} bytes at ${extent.offsetBytes} follows byte ${reachedBytes}: extents must ascend without overlap`,
      );
    }
    reachedBytes = endOf(extent);
    yield extent;
  }
}

type Cursor = Disposable & { current(): Extent | null; advance(): void };

/** Looks at the next extent without taking it. Ends the sequence where its reader stops early. */
function cursorOver(extents: Generator<Extent, void>): Cursor {
  let step = extents.next();
  return {
    current: () => (step.done === true ? null : step.value),
    advance: () => {
      step = extents.next();
    },
    [Symbol.dispose]: () => void extents.return(),
  };
}
