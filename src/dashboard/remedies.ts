/** Commands that lead on from where a machine stands, as an operator would type them. Pure. */
import type { MachineRecord } from '../domain/machine-record.ts';
import { adviseRetry } from '../operations/retry-advice.ts';
import { sourcesOff } from '../operations/sources-off.ts';

export function remediesFor(record: MachineRecord): string[] {
  const { run, status, committedAt } = record;
  const of = `${run} ${record.machine.name}`;
  switch (status) {
    case 'failed':
      return [...retryOf(record), `landfall rollback ${of}`, `landfall logs ${of}`];
    case 'held':
      return [`landfall release ${of}`, `landfall rollback ${of}`];
    case 'cancelled':
      return sourcesOff([record]).length > 0
        ? [`landfall rollback ${of}`, `landfall retry ${of}`]
        : [`landfall retry ${of}`, `landfall cleanup ${run}`];
    case 'discarded':
    case 'rolled-back':
      return [`landfall retry ${of}`];
    case 'landed':
      return committedAt === null
        ? [`landfall commit ${of}`, `landfall rollback ${of} --discard-landing-data`, `landfall proof ${of}`]
        : [`landfall proof ${of}`];
    case 'moving':
      return [`landfall hold ${of}`, `landfall cancel ${of}`, `landfall rollback ${of}`];
    case 'rolling-back':
      return [`landfall logs ${of}`];
    case 'blocked':
    case 'waiting':
      return [];
    default:
      return status satisfies never;
  }
}

/** What was begun from a state of its source that is gone must go first. */
function retryOf(record: MachineRecord): string[] {
  const { run, machine } = record;
  const isBegunAnew = adviseRetry(run, [record]).some((advice) => advice.includes('landfall discard'));
  const retry = `landfall retry ${run} ${machine.name}`;
  return isBegunAnew ? [`landfall discard ${run} ${machine.name}`, retry] : [retry];
}
