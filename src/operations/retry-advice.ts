/** What to do about machines that failed, once their causes are mended. */
import type { MachineRecord } from '../domain/machine-record.ts';

/** `failed`: machines of one run. */
export function adviseRetry(run: string, failed: readonly MachineRecord[]): string[] {
  const changed = failed.filter(isOfOldState);
  const advice = changed.map(
    ({ machine: { name } }) =>
      `${name} is begun from a state of its source that is gone: \`landfall discard ${run} ${name}\`, then \`landfall retry ${run} ${name}\``,
  );
  if (changed.length === failed.length) return advice;
  // Discarded machines are not among those that failed any more: none is tried in vain.
  const first = changed.length === 0 ? '' : ', after that';
  return [...advice, `When the cause is mended${first}: \`landfall retry ${run} --failed\``];
}

/** What export fixed is kept over a retry: only a discarded machine is exported anew. */
function isOfOldState({ error, steps }: MachineRecord): boolean {
  const failed = Object.values(steps).find(({ state }) => state === 'failed');
  return error?.code === 'source-changed' && failed !== undefined && failed.stage !== 'export';
}
