/** Which machines of a wave are listed, and in which order. */
import type { MachineLine } from '../../api/run.ts';
import { MACHINE_SIGNS, STAGE_NAMES, type Stage, weightOf } from '../status/words.ts';

export const ORDERS = ['trouble', 'wave', 'name', 'progress', 'eta'] as const;
export type Order = (typeof ORDERS)[number];
export type Filter = { search: string; isFailingOnly: boolean; order: Order };

export function listRows(machines: readonly MachineLine[], filter: Filter): MachineLine[] {
  const words = filter.search
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== '');
  const kept = machines.filter(
    (line) => (!filter.isFailingOnly || line.isTroubled) && (words.length === 0 || matches(line, words)),
  );
  return kept.sort((a, b) => compare(filter.order, a, b) || a.position - b.position);
}

/** The stages that machines of this run go through, in order; rolling back only where one does. */
export function stagesOf(machines: readonly MachineLine[]): Stage[] {
  const seen = new Set(machines.flatMap(({ stages }) => stages.filter(isShown).map(({ stage }) => stage)));
  return (Object.keys(STAGE_NAMES) as Stage[]).filter((stage) => seen.has(stage));
}

/** How many machines each stage has at work now. */
export function countAtWork(machines: readonly MachineLine[]): Map<Stage, number> {
  const counts = new Map<Stage, number>();
  for (const { stages } of machines) {
    for (const { stage, state } of stages) {
      if (state === 'active' || state === 'waiting') counts.set(stage, (counts.get(stage) ?? 0) + 1);
    }
  }
  return counts;
}

/** The stage that a machine is in: the one at work, else the one that failed. */
export function currentStage({ stages }: Pick<MachineLine, 'stages'>): MachineLine['stages'][number] | null {
  return (
    stages.find(({ state }) => state === 'active' || state === 'waiting') ??
    stages.find(({ state }) => state === 'failed') ??
    null
  );
}

function isShown({ stage, state }: MachineLine['stages'][number]): boolean {
  return stage !== 'rollback' || state !== 'pending';
}

/** Every word somewhere in what is shown of it. */
function matches(line: MachineLine, words: readonly string[]): boolean {
  const { name, group, note, landing, status, error } = line;
  const text = [
    name,
    group,
    note,
    landing,
    MACHINE_SIGNS[status].word,
    error?.code,
    currentStage(line)?.stage,
  ]
    .join('\n')
    .toLowerCase();
  return words.every((word) => text.includes(word));
}

function compare(order: Order, a: MachineLine, b: MachineLine): number {
  switch (order) {
    case 'trouble':
      return weightOf(a) - weightOf(b);
    case 'wave':
      return a.position - b.position;
    case 'name':
      return a.name.localeCompare(b.name, 'en', { numeric: true });
    case 'progress':
      return shareOf(a) - shareOf(b);
    case 'eta':
      return (b.etaMs ?? -1) - (a.etaMs ?? -1);
    default:
      return order satisfies never;
  }
}

function shareOf({ doneBytes, totalBytes }: MachineLine): number {
  return totalBytes === 0 ? 0 : doneBytes / totalBytes;
}
