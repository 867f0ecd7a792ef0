/** The lines of a run's machines, each with the revision in which it changed last. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { MachineRecord } from '../../domain/machine-record.ts';
import type { StepProgress } from '../../state/progress-board.ts';
import type { MachineLine } from '../api/run.ts';
import { showMachine } from './machine-line.ts';

export type LineBook = {
  /** Draws these machines anew. Those that look as before keep their revision. */
  draw(
    records: readonly MachineRecord[],
    of: { progress: readonly StepProgress[]; now: number },
  ): Promise<void>;
  /** Grows whenever a line changed. */
  revision(): number;
  /** As JSON, in the order of the wave: each is written once, however many pages get it. */
  since(revision: number): string[];
  /** All of them, as one JSON list. */
  json(): string;
};

/** Drawn in one go: some milliseconds. */
const PAGE = 250;

type Drawn = { line: MachineLine; json: string; revision: number };

export function createLineBook(): LineBook {
  const drawn = new Map<string, Drawn>();
  let revision = 0;
  const inOrder = (which: (each: Drawn) => boolean): Drawn[] =>
    [...drawn.values()].filter(which).sort((a, b) => a.line.position - b.line.position);
  return {
    async draw(records, { progress, now }) {
      const ofMachine = Map.groupBy(progress, ({ machine }) => machine);
      for (const [index, record] of records.entries()) {
        if (index % PAGE === PAGE - 1) await nextTurn();
        const { name } = record.machine;
        const line = showMachine(record, { progress: ofMachine.get(name) ?? [], now });
        const json = JSON.stringify(line);
        if (drawn.get(name)?.json === json) continue;
        revision += 1;
        drawn.set(name, { line, json, revision });
      }
    },
    revision: () => revision,
    since: (seen) =>
      seen >= revision ? [] : inOrder((each) => each.revision > seen).map(({ json }) => json),
    json: () =>
      `[${inOrder(() => true)
        .map((each) => each.json)
        .join()}]`,
  };
}
