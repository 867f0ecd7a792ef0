/** How much of a disk is copied, zero and to do: from its map, in whole percents that add up. */
import type { DiskMap } from '../../api/machine.ts';

export type DiskShares = { copied: number; zero: number; toDo: number };

/** Shares of 0 to 1; null where there is no map. */
export function sharesOf({ cells, bytes, cellBytes }: DiskMap): DiskShares | null {
  if (cells === null || cells.length === 0 || bytes <= 0) return null;
  let copied = 0;
  let zero = 0;
  cells.forEach((cell, index) => {
    // The last cell may be a short one.
    const length = Math.max(0, Math.min(cellBytes, bytes - index * cellBytes));
    copied += clamp(cell.copied) * length;
    zero += Math.min(clamp(cell.zero), 1 - clamp(cell.copied)) * length;
  });
  const shares = { copied: copied / bytes, zero: zero / bytes };
  return { ...shares, toDo: Math.max(0, 1 - shares.copied - shares.zero) };
}

export function sayShares(shares: DiskShares): string {
  return `${percent(shares.copied)} copied, ${percent(shares.zero)} zeros that are not sent, ${percent(shares.toDo)} to do`;
}

/** Never 0 % of something, never 100 % of what is not all. */
export function percent(share: number): string {
  if (share <= 0) return '0 %';
  if (share < 0.01) return 'under 1 %';
  if (share > 0.99 && share < 1 - 1e-9) return 'over 99 %';
  return `${Math.round(share * 100)} %`;
}

export function clamp(share: number): number {
  return Math.min(1, Math.max(0, share));
}
