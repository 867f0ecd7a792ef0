/** What an archived run leaves behind, and who removes it: nobody looks at that run again of his own accord. */
import type { MachineRecord } from '../domain/machine-record.ts';
import { sourcesOff } from '../operations/sources-off.ts';

/** `machines`: of the run that was archived. */
export function describeArchived(run: string, machines: readonly MachineRecord[]): string {
  const hasBegun = (record: MachineRecord): boolean => record.startedAt !== null;
  const hasUnlanded = machines.some(
    (record) => hasBegun(record) && (record.status === 'failed' || record.status === 'cancelled'),
  );
  const hasLanded = machines.some(({ status }) => status === 'landed');
  const kept = hasLanded ? ' Machines that landed stay as they are.' : '';
  const off = sourcesOff(machines);
  const outage =
    off.length === 0
      ? ''
      : ` ${off.join(', ')} may be off at the source, with nothing in place of ${off.length === 1 ? 'it' : 'them'}: an archived run takes none back, so turn ${off.length === 1 ? 'it' : 'them'} on there by hand, or run the wave again.`;
  if (hasUnlanded) return `Archived ${run}; what it made stays: \`landfall cleanup ${run}\`.${kept}${outage}`;
  return `Archived ${run}.${kept}${outage}`;
}
