/** What of a run's events belongs to its audit trail. */
import type { StoredEvent } from '../domain/events.ts';

/** Deeds, and what came of them; not the work in between. */
export function isOnTrail(event: StoredEvent): boolean {
  switch (event.type) {
    case 'operator':
    case 'remark':
    case 'run':
      return true;
    case 'machine':
      return event.status !== 'blocked' && event.status !== 'waiting' && event.status !== 'moving';
    case 'step':
    case 'log':
      return false;
    default:
      return event satisfies never;
  }
}
