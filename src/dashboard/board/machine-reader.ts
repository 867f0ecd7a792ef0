/**
 * Keeps the records of a run's machines as they are, reading again only those that may have changed: the run's events
 * name them. What changes without an event (a machine that came after another one may start) is found by asking for
 * versions, a few hundred at a time.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { StoredEvent } from '../../domain/events.ts';
import type { MachineRecord } from '../../domain/machine-record.ts';
import type { State } from '../../state/state.ts';

export type MachineReader = {
  records: ReadonlyMap<string, MachineRecord>;
  /** Names of those that changed, until whoever looks takes them out: a reading that broke off loses none. */
  changed: Set<string>;
  /** Reads what `events` are about. */
  read(events: readonly StoredEvent[]): Promise<void>;
};

/** Parsed in one go: some ten milliseconds. */
const PAGE = 250;
/** So that ten thousand machines are asked for in twenty rounds. */
const SWEEP = 500;
/** The audit trail says who acts before the record says what came of it. */
const DEED_ROUNDS = 5;

export async function openMachineReader(
  state: State,
  { run, names }: { run: string; names: readonly string[] },
): Promise<MachineReader> {
  const records = new Map<string, MachineRecord>();
  const changed = new Set<string>();
  const deeds = new Map<string, number>();
  let sweptTo = 0;

  const take = async (wanted: readonly string[]): Promise<void> => {
    for (let at = 0; at < wanted.length; at += PAGE) {
      for (const record of await state.machines.all(run, wanted.slice(at, at + PAGE))) {
        const { name } = record.machine;
        if (records.get(name)?.version === record.version) continue;
        records.set(name, record);
        changed.add(name);
      }
      await nextTurn();
    }
  };

  const sweep = async (): Promise<string[]> => {
    const part = names.slice(sweptTo, sweptTo + SWEEP);
    sweptTo = sweptTo + SWEEP >= names.length ? 0 : sweptTo + SWEEP;
    const versions = await state.machines.versions(run, part);
    return part.filter((name) => versions.get(name) !== records.get(name)?.version);
  };

  const underDeeds = (events: readonly StoredEvent[]): string[] => {
    for (const event of events)
      if (event.type === 'operator' && event.machine !== null) deeds.set(event.machine, DEED_ROUNDS);
    return [...deeds].map(([name, left]) => {
      if (left <= 1) deeds.delete(name);
      else deeds.set(name, left - 1);
      return name;
    });
  };

  await take(names);
  return {
    records,
    changed,
    async read(events) {
      const named = events.flatMap((event) => ('machine' in event ? (event.machine ?? []) : []));
      await take([...new Set([...named, ...underDeeds(events), ...(await sweep())])]);
    },
  };
}
