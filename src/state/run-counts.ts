/** What the commit scripts count, as they keep it in two hashes. */
import { MACHINE_STATUSES, type MachineStatus } from '../domain/machine-record.ts';
import type { GroupCounts, RunCounts } from '../domain/run-record.ts';

/** Of the hash of groups: `machines GROUP`, `landed GROUP`, `troubled GROUP`. */
const GROUP_FIELD = /^(machines|landed|troubled) (.*)$/s;

/** `byStatus` and `ofGroups`: fields and values in turn, as Redis replies. */
export function readCounts(byStatus: readonly string[], ofGroups: readonly string[]): RunCounts {
  const stored = new Map(pairs(byStatus));
  const counts = Object.fromEntries(
    MACHINE_STATUSES.map((status) => [status, Number(stored.get(status) ?? 0)]),
  ) as Record<MachineStatus, number>;
  const groups: Record<string, GroupCounts> = {};
  for (const [field, value] of pairs(ofGroups)) {
    const [, kind, group] = GROUP_FIELD.exec(field) ?? [];
    if (kind === undefined || group === undefined) continue;
    groups[group] = {
      ...(groups[group] ?? { machines: 0, landed: 0, troubled: 0 }),
      [kind]: Number(value),
    };
  }
  return { ...counts, groups };
}

function* pairs(flat: readonly string[]): Generator<[string, string]> {
  for (let i = 0; i + 1 < flat.length; i += 2) yield [flat[i] ?? '', flat[i + 1] ?? ''];
}
