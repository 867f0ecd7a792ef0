/** What a page knows of what it watches, and how a batch of messages changes that: pure. */
import type { Live, LiveName } from '../../api/live.ts';
import type { ShownEvent } from '../../api/machine.ts';
import type { MachineLine, RunSummary } from '../../api/run.ts';

/** Of a run's events the latest are kept; older ones are a request away. */
export const EVENTS_KEPT = 500;

export type LiveState = {
  /**
   *   connecting ──► open ──► lost ──► open
   *        └──────────────────┘
   */
  link: 'connecting' | 'open' | 'lost';
  /** When the server was last heard of (the browser's clock); null: never. */
  heardAt: number | null;
  health: Live<'health'> | null;
  /** All runs; only where no run is watched. */
  runs: readonly RunSummary[] | null;
  run: RunSummary | null;
  /** In the order of the wave. */
  machines: readonly MachineLine[] | null;
  /** Oldest first, up to `EVENTS_KEPT`. */
  events: readonly ShownEvent[];
};

export type LiveMessage = { [Name in LiveName]: { name: Name; data: Live<Name> } }[LiveName];

export const NOTHING_LIVE: LiveState = {
  link: 'connecting',
  heardAt: null,
  health: null,
  runs: null,
  run: null,
  machines: null,
  events: [],
};

/** Everything that came since the last frame, at once. What did not change stays the same object. */
export function applyMessages(state: LiveState, messages: readonly LiveMessage[]): LiveState {
  let { health, runs, run } = state;
  const lines: MachineLine[] = [];
  const events: ShownEvent[] = [];
  for (const message of messages) {
    switch (message.name) {
      case 'runs':
        runs = message.data.runs;
        break;
      case 'run':
        run = message.data.run;
        break;
      case 'machines':
        lines.push(...message.data.machines);
        break;
      case 'event':
        events.push(message.data);
        break;
      case 'health':
        health = message.data;
        break;
      default:
        message satisfies never;
    }
  }
  return {
    ...state,
    health,
    runs,
    run,
    machines: mergeMachines(state.machines, lines),
    events: appendEvents(state.events, events),
  };
}

function mergeMachines(
  old: readonly MachineLine[] | null,
  lines: readonly MachineLine[],
): readonly MachineLine[] | null {
  if (lines.length === 0) return old;
  const changed = new Map(lines.map((line) => [line.name, line]));
  const merged = (old ?? []).map((line) => {
    const newer = changed.get(line.name);
    if (newer === undefined) return line;
    changed.delete(line.name);
    return newer;
  });
  if (changed.size === 0) return merged;
  return [...merged, ...changed.values()].sort((a, b) => a.position - b.position);
}

/** A page that comes back may be told again what it knows. */
function appendEvents(old: readonly ShownEvent[], events: readonly ShownEvent[]): readonly ShownEvent[] {
  if (events.length === 0) return old;
  const known = new Set(old.map(({ id }) => id));
  const added = events.filter(({ id }) => !known.has(id) && known.add(id));
  return added.length === 0 ? old : [...old, ...added].slice(-EVENTS_KEPT);
}
