/** A page of a run's events. */
import type { StoredEvent } from '../domain/events.ts';
import type { RunRecord } from '../domain/run-record.ts';
import { isOnTrail } from '../operations/audit-trail.ts';
import type { State } from '../state/state.ts';
import type { ShownEvent } from './api/machine.ts';
import { showEvent } from './board/shown-event.ts';

export async function readEvents(
  state: State,
  of: {
    run: RunRecord;
    machine?: string | undefined;
    kind: 'all' | 'audit';
    before?: string | undefined;
    limit: number;
  },
): Promise<{ events: ShownEvent[]; hasMore: boolean }> {
  const { run, machine, kind, before = '+', limit } = of;
  const isWanted = (event: StoredEvent): boolean =>
    (machine === undefined || ('machine' in event && event.machine === machine)) &&
    (kind === 'all' || isOnTrail(event));
  const found: StoredEvent[] = [];
  for await (const event of state.events.readBack(run.id, before)) {
    if (!isWanted(event)) continue;
    if (found.length === limit) return { events: shown(found), hasMore: true };
    found.push(event);
  }
  return { events: shown(found), hasMore: false };
}

function shown(newestFirst: readonly StoredEvent[]): ShownEvent[] {
  return newestFirst.toReversed().map(showEvent);
}
