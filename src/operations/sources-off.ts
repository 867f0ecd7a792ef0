/** Machines that Landfall turned off, or set out to, and that nothing runs in place of: an outage until somebody acts. */
import { type MachineRecord, mayServe } from '../domain/machine-record.ts';

/** Names, in the order of the wave. */
export function sourcesOff(machines: readonly MachineRecord[]): string[] {
  return machines.filter(isLeftOff).map(({ machine }) => machine.name);
}

function isLeftOff(record: MachineRecord): boolean {
  const { status, steps, landing } = record;
  const { shutdown } = steps;
  if (shutdown === undefined || (landing !== null && mayServe(record))) return false;
  const hasBegun = shutdown.state !== 'pending' || shutdown.startedAt !== null || shutdown.try > 1;
  if (!hasBegun) return false;
  return status === 'cancelled' || status === 'failed' || status === 'discarded' || status === 'held';
}
