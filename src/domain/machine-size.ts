/** Which of a cloud's sizes a machine gets: the least that has its cpus and its memory. */

export type MachineSize = { name: string; cpus: number; memoryGiB: number };

const GIB = 2 ** 30;
/** List prices of 2026, at AWS as at Azure: a cpu costs about ten times a GiB; a burstable cpu about half of it. */
const CPU_COST = 10;

/** The first burstable one that fits, since they are cheaper, else the cheapest of the others; null where none does. */
export function leastSize<T extends MachineSize>(
  { cpus, memoryBytes }: { cpus: number; memoryBytes: number },
  sizes: { burstable: readonly T[]; general: readonly T[] },
): T | null {
  const fits = (size: T): boolean => size.cpus >= cpus && size.memoryGiB * GIB >= memoryBytes;
  const burstable = sizes.burstable.find(fits);
  if (burstable !== undefined) return burstable;
  const fitting = sizes.general.filter(fits).sort((a, b) => costOf(a) - costOf(b));
  return fitting[0] ?? null;
}

function costOf({ cpus, memoryGiB }: MachineSize): number {
  return cpus * CPU_COST + memoryGiB;
}
