/** Which of a cloud's sizes a machine gets: the least that has its cpus and its memory. */

export type MachineSize = { name: string; cpus: number; memoryGiB: number };
export type MachineNeeds = { cpus: number; memoryBytes: number };

const GIB = 2 ** 30;
/** List prices of 2026, at AWS as at Azure: a cpu costs about ten times a GiB; a burstable cpu about half of it. */
const CPU_COST = 10;

/** The first burstable one that fits, since they are cheaper, else the cheapest of the others; null where none does. */
export function leastSize<T extends MachineSize>(
  machine: MachineNeeds,
  sizes: { burstable: readonly T[]; general: readonly T[] },
): T | null {
  const burstable = sizes.burstable.find((size) => isEnough(size, machine));
  return burstable ?? fittingSizes(machine, sizes.general)[0] ?? null;
}

/** Those that are enough, cheapest first. */
export function fittingSizes<T extends MachineSize>(machine: MachineNeeds, sizes: readonly T[]): T[] {
  return sizes.filter((size) => isEnough(size, machine)).toSorted((a, b) => costOf(a) - costOf(b));
}

export function isEnough(size: MachineSize, { cpus, memoryBytes }: MachineNeeds): boolean {
  return size.cpus >= cpus && size.memoryGiB * GIB >= memoryBytes;
}

/** The one with the most cpus; of those with as many, the one with the most memory. */
export function largestSize<T extends MachineSize>(sizes: readonly T[]): T | null {
  return sizes.toSorted((a, b) => b.cpus - a.cpus || b.memoryGiB - a.memoryGiB)[0] ?? null;
}

/** "Standard_D2s_v5 (2 cpus, 8 GiB)" */
export function tellSize({ name, cpus, memoryGiB }: MachineSize): string {
  return `${name} (${tellCpus(cpus)}, ${memoryGiB} GiB)`;
}

export function tellCpus(cpus: number): string {
  return cpus === 1 ? '1 cpu' : `${cpus} cpus`;
}

function costOf({ cpus, memoryGiB }: MachineSize): number {
  return cpus * CPU_COST + memoryGiB;
}
