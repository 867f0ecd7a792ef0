/** The lines of a run's machines, each with the revision in which it changed last. */
import type { MachineRecord } from '../../domain/machine-record.ts';
import type { StepProgress } from '../../state/progress-board.ts';
import type { MachineLine } from '../api/run.ts';
import { showMachine } from './machine-line.ts';

export type LineBook = {
  /** Draws these machines anew. Those that look as before keep their revision. */
  draw(records: readonly MachineRecord[], of: { progress: readonly StepProgress[]; now: number }): void;
  /** Grows whenever a line changed. */
  revision(): number;
  /** As JSON, in the order of the wave: each is written once, however many pages get it. */
  since(revision: number): string[];
  get(name: string): MachineLine | null;
  inOrder(): MachineLine[];
};

type Drawn = { line: MachineLine; json: string; revision: number };

export function createLineBook(): LineBook {
  const drawn = new Map<string, Drawn>();
  let revision = 0;
  const inOrder = (which: (each: Drawn) => boolean): Drawn[] =>
    [...drawn.values()].filter(which).sort((a, b) => a.line.position - b.line.position);
  return {
    draw(records, { progress, now }) {
      const ofMachine = Map.groupBy(progress, ({ machine }) => machine);
      const next = revision + 1;
      for (const record of records) {
        const { name } = record.machine;
        const line = showMachine(record, { progress: ofMachine.get(name) ?? [], now });
        const json = JSON.stringify(line);
        if (drawn.get(name)?.json === json) continue;
        drawn.set(name, { line, json, revision: next });
        revision = next;
      }
    },
    revision: () => revision,
    since: (seen) =>
      seen >= revision ? [] : inOrder((each) => each.revision > seen).map(({ json }) => json),
    get: (name) => drawn.get(name)?.line ?? null,
    inOrder: () => inOrder(() => true).map(({ line }) => line),
  };
}
