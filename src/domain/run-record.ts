/** The durable record of one run: one execution of a wave. */
import type { MachineStatus } from './machine-record.ts';
import type { Wave } from './wave.ts';

/**
 *   running ──► landed │ failed │ partial │ cancelled      retry brings it back to running
 *   partial: some machines landed and some did not
 */
export type RunStatus = 'running' | 'landed' | 'failed' | 'partial' | 'cancelled';

export type RunRecord = {
  id: string;
  version: number;
  wave: Wave;
  status: RunStatus;
  /** Names in the order of the wave. */
  machines: readonly string[];
  createdAt: number;
  endedAt: number | null;
  /** An archived run gave up its wave's name and its claim on machines. */
  archivedAt: number | null;
};

/** How many machines of a run are in each status; kept by the same script that commits their records. */
export type MachineCounts = Record<MachineStatus, number>;
