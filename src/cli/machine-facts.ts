/** What a machine needs, as `inspect` and `plan` tell it: what was only assumed is marked. */
import { formatBytes } from '../domain/byte-size.ts';
import type { AssumedFact, Machine } from '../domain/machine.ts';

export type MachineFacts = { firmware: string; cpus: string; memory: string };

export function machineFacts(machine: Machine): MachineFacts {
  const mark = (fact: AssumedFact, text: string): string =>
    machine.assumed?.includes(fact) === true ? `${text} (assumed)` : text;
  return {
    firmware: mark('firmware', machine.firmware),
    cpus: mark('cpus', `${machine.cpus} cpu`),
    memory: mark('memoryBytes', `${formatBytes(machine.memoryBytes)} memory`),
  };
}
