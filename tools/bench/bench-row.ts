/** What a bench found out: rows of figures, each held against what it must reach. */

export type Goal = {
  /** `ratio`: of Landfall's figure to its peer's, or the other way round; `landfall`: the figure itself. */
  of: 'ratio' | 'landfall';
  atLeast?: number;
  atMost?: number;
};

export type BenchRow = {
  name: string;
  /** Median, in `unit`. */
  landfall: number;
  /** What it is held against: another program's median, or Landfall's own on an easier disk. null: nothing. */
  peer: number | null;
  ratio: number | null;
  unit: string;
  /** How many measurements each median is of. */
  runs: number;
  goal: Goal;
  isReached: boolean;
  /** Each measurement, in order. */
  each: { landfall: number[]; peer: number[] };
  /** What stands in the peer's place. */
  against: string;
};

export type Measured = Omit<BenchRow, 'landfall' | 'peer' | 'ratio' | 'runs' | 'isReached'> & {
  /** `landfall/peer` where more is better or sizes are compared; `peer/landfall` for how many times faster. */
  ratio: 'landfall/peer' | 'peer/landfall' | 'none';
  /** What counts of several measurements: the worst, where one that is bad is a defect. Default: the median. */
  by?: 'median' | 'worst';
};

export function toRow({ ratio: direction, by = 'median', ...measured }: Measured): BenchRow {
  const { each, goal } = measured;
  const counting = by === 'worst' ? (values: readonly number[]) => Math.max(...values) : median;
  const landfall = counting(each.landfall);
  const peer = each.peer.length === 0 ? null : counting(each.peer);
  const ratio = ratioOf({ direction, landfall, peer });
  const judged = goal.of === 'ratio' ? ratio : landfall;
  const isReached =
    judged !== null && judged >= (goal.atLeast ?? -Infinity) && judged <= (goal.atMost ?? Infinity);
  return { ...measured, landfall, peer, ratio, runs: each.landfall.length, isReached };
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((left, right) => left - right);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle];
  if (upper === undefined) throw new RangeError('the median of nothing');
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] as number) + upper) / 2;
}

function ratioOf({
  direction,
  landfall,
  peer,
}: {
  direction: Measured['ratio'];
  landfall: number;
  peer: number | null;
}): number | null {
  if (direction === 'none' || peer === null) return null;
  const [over, under] = direction === 'landfall/peer' ? [landfall, peer] : [peer, landfall];
  // Nothing where nothing is allowed.
  return under === 0 && over === 0 ? 0 : over / under;
}
