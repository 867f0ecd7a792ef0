/**
 * Which blocks a snapshot holds, page by page, and the tokens against which AWS hands them out.
 * https://docs.aws.amazon.com/ebs/latest/APIReference/API_ListSnapshotBlocks.html
 *
 * 16 pages of 1000 tokens are kept (about 3 MB): whoever reads in the order of the blocks needs one request for a page in
 * 500 MiB of data, and as many readers as one likes may be 8 GiB apart.
 */
import { ListSnapshotBlocksCommand, type ListSnapshotBlocksResponse } from '@aws-sdk/client-ebs';
import type { Aws } from './clients.ts';
import { blockCall } from './ebs-snapshot.ts';
import { ask } from './errors.ts';

const GIB = 2 ** 30;
const PAGE_BLOCKS = 1_000;
const KEPT_PAGES = 16;

/** All blocks from `from` to before `until`; those without a token are zeros. */
export type BlockPage = {
  from: number;
  until: number;
  /** Ascending. */
  tokens: ReadonlyMap<number, string>;
  volumeBytes: number;
};

export type BlockPages = {
  /** The page that tells of this block. */
  pageOf(index: number, signal: AbortSignal): Promise<BlockPage>;
  /** Forgets all tokens: they are good for some days only. */
  clear(): void;
};

export function createBlockPages(of: { aws: Aws; snapshotId: string; what: string }): BlockPages {
  /** Oldest use first. */
  let kept: BlockPage[] = [];
  return {
    pageOf: async (index, signal) => {
      const known = kept.find(({ from, until }) => from <= index && index < until);
      const page = known ?? (await listPage({ ...of, from: index }, signal));
      kept = [...kept.filter((other) => other !== page), page].slice(-KEPT_PAGES);
      return page;
    },
    clear: () => {
      kept = [];
    },
  };
}

async function listPage(
  { aws, snapshotId, what, from }: { aws: Aws; snapshotId: string; what: string; from: number },
  signal: AbortSignal,
): Promise<BlockPage> {
  const doing = `Listing the blocks of ${what}`;
  const call = blockCall(aws, { doing, action: 'ebs:ListSnapshotBlocks', snapshotId });
  let NextToken: string | undefined;
  // A page may be empty though there are more.
  for (;;) {
    const position = NextToken === undefined ? { StartingBlockIndex: from } : { NextToken };
    const command = new ListSnapshotBlocksCommand({
      SnapshotId: snapshotId,
      MaxResults: PAGE_BLOCKS,
      ...position,
    });
    const answer = await ask(call, () => aws.ebs.send(command, { abortSignal: signal }));
    NextToken = answer.NextToken === '' ? undefined : answer.NextToken;
    if (NextToken === undefined || (answer.Blocks ?? []).length > 0)
      return pageFrom(answer, { from, isLast: NextToken === undefined });
  }
}

function pageFrom(
  { Blocks = [], VolumeSize = 0 }: ListSnapshotBlocksResponse,
  { from, isLast }: { from: number; isLast: boolean },
): BlockPage {
  // The API promises no order within a page: moto tells blocks in the order in which they were written.
  const ascending = Blocks.toSorted((a, b) => (a.BlockIndex ?? 0) - (b.BlockIndex ?? 0));
  const tokens = new Map<number, string>();
  for (const { BlockIndex, BlockToken } of ascending)
    if (BlockIndex !== undefined && BlockToken !== undefined) tokens.set(BlockIndex, BlockToken);
  const last = ascending.at(-1)?.BlockIndex ?? from;
  return { from, until: isLast ? Number.POSITIVE_INFINITY : last + 1, tokens, volumeBytes: VolumeSize * GIB };
}
