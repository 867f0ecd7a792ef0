/** What an archived run leaves behind, and who removes it: nobody looks at that run again of his own accord. */
import type { MachineRecord } from '../domain/machine-record.ts';

/** `machines`: of the run that was archived. */
export function describeArchived(run: string, machines: readonly MachineRecord[]): string {
  const hasBegun = (record: MachineRecord): boolean => record.startedAt !== null;
  const hasUnlanded = machines.some(
    (record) => hasBegun(record) && (record.status === 'failed' || record.status === 'cancelled'),
  );
  const hasLanded = machines.some(({ status }) => status === 'landed');
  const kept = hasLanded ? ' Machines that landed stay as they are.' : '';
  if (hasUnlanded) return `Archived ${run}; what it made stays: \`landfall cleanup ${run}\`.${kept}`;
  return `Archived ${run}.${kept}`;
}
