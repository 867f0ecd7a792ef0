/** The durable record of one run: one execution of a wave. */
import type { MachineStatus } from './machine-record.ts';
import type { Wave } from './wave.ts';
import type { Window } from './window.ts';

/**
 *   scheduled ──► running ──► landed │ partial │ failed │ rolled-back │ cancelled      retry brings it back to running
 *                  │  ▲
 *                  ▼  │
 *                  held          nothing moves until an operator says so
 *
 *   scheduled: it waits for its window, or for approval
 *   partial: some machines landed and some did not
 */
export const RUN_STATUSES = [
  'scheduled',
  'running',
  'held',
  'landed',
  'partial',
  'failed',
  'rolled-back',
  'cancelled',
] as const;
export type RunStatus = (typeof RUN_STATUSES)[number];

/** Who said so, and when (ms since the epoch). */
export type Say = { by: string; at: number; reason: string | null };

export type RunRecord = {
  id: string;
  version: number;
  wave: Wave;
  status: RunStatus;
  /** Names in the order of the wave. */
  machines: readonly string[];
  createdAt: number;
  /** Who made it; null in records of older Landfalls, which did not keep that. */
  plannedBy: string | null;
  endedAt: number | null;
  /** An archived run gave up its wave's name and its claim on machines. */
  archivedAt: number | null;
  /** The occurrence of the wave's window that counts now; null: at any time. */
  window: Window | null;
  approval: Say | null;
  /** No machine starts and no step begins while it is held; what runs ends. By an operator, or by a group's gate. */
  hold: Say | null;
  /** By group: so many failures an operator has seen and let pass when they released the run. */
  passedFailures: Readonly<Record<string, number>>;
};

/** May `by` not approve it, since they planned it and its wave wants somebody else? */
export function isBarredFromApproving({ wave, plannedBy }: RunRecord, by: string): boolean {
  return wave.isApprovalByAnother === true && plannedBy !== null && personOf(plannedBy) === personOf(by);
}

/** `ann@laptop` at a command line is the `Ann@acme.com` of a dashboard: two who share a name had better ask a third. */
function personOf(name: string): string {
  return (name.split('@')[0] ?? name).toLowerCase();
}

/** Has it come to its end: nothing more happens unless an operator acts? */
export function isEnded(status: RunStatus): boolean {
  return status !== 'scheduled' && status !== 'running' && status !== 'held';
}

/** How many machines of a run are in each status; kept by the same script that commits their records. */
export type MachineCounts = Readonly<Record<MachineStatus, number>>;

export type GroupCounts = {
  machines: number;
  landed: number;
  /** Those that failed, whatever became of them then; not those that an operator took out. */
  troubled: number;
};

export type RunCounts = MachineCounts & { groups: Readonly<Record<string, GroupCounts>> };
