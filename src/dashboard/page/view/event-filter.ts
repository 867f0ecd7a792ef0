/** Which of a run's events are shown. */
import type { ShownEvent } from '../../api/machine.ts';
import type { Sign } from '../status/words.ts';

export const EVENT_KINDS = ['all', 'trouble', 'steps', 'logs', 'operators'] as const;
export type EventKind = (typeof EVENT_KINDS)[number];
export type EventFilter = { kind: EventKind; search: string };

/** Newest first; each word must be there, in whatever case. */
export function listEvents(events: readonly ShownEvent[], { kind, search }: EventFilter): ShownEvent[] {
  const words = search
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== '');
  return events
    .filter(
      (event) => isOfKind(event, kind) && words.every((word) => event.text.toLowerCase().includes(word)),
    )
    .toReversed();
}

/** Those that were asked for and those that came since, oldest first, each once. */
export function mergeEvents(
  earlier: readonly ShownEvent[],
  later: readonly ShownEvent[],
): readonly ShownEvent[] {
  const known = new Set(earlier.map(({ id }) => id));
  const fresh = later.filter(({ id }) => !known.has(id));
  return fresh.length === 0 ? earlier : [...earlier, ...fresh].sort((a, b) => compareIds(a.id, b.id));
}

export function signOf(event: ShownEvent): Sign {
  if (isTrouble(event)) {
    return event.state === 'retrying' || event.level === 'warn'
      ? { word: 'trouble', tone: 'warn', shape: 'alert' }
      : { word: 'failure', tone: 'bad', shape: 'cross' };
  }
  switch (event.type) {
    case 'operator':
      return { word: 'operator', tone: 'back', shape: 'square' };
    case 'step':
      return event.state === 'done'
        ? { word: 'step done', tone: 'good', shape: 'check' }
        : { word: 'step', tone: 'go', shape: 'play' };
    case 'machine':
    case 'run':
      return event.status === 'landed'
        ? { word: event.type, tone: 'good', shape: 'check' }
        : { word: event.type, tone: 'go', shape: 'play' };
    case 'log':
    case 'remark':
      return { word: event.type, tone: 'idle', shape: 'circle' };
    default:
      return event.type satisfies never;
  }
}

function isOfKind(event: ShownEvent, kind: EventKind): boolean {
  switch (kind) {
    case 'all':
      return true;
    case 'trouble':
      return isTrouble(event);
    case 'steps':
      return event.type === 'step' || event.type === 'machine' || event.type === 'run';
    case 'logs':
      return event.type === 'log' || event.type === 'remark';
    case 'operators':
      return event.type === 'operator';
    default:
      return kind satisfies never;
  }
}

function isTrouble(event: ShownEvent): boolean {
  const { error, level } = event;
  return (typeof error === 'object' && error !== null) || level === 'warn' || level === 'error';
}

/** `1732300000000-3`: a moment, and its place among those of the same. */
function compareIds(a: string, b: string): number {
  const [atA = '', placeA = ''] = a.split('-');
  const [atB = '', placeB = ''] = b.split('-');
  return Number(atA) - Number(atB) || Number(placeA) - Number(placeB);
}
