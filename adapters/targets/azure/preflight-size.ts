/** The size that a machine would land as: is it sold there, does it boot the machine and take its disks? */
import { failed, warned } from '../../../src/domain/finding.ts';
import type { Machine } from '../../../src/domain/machine.ts';
import { fittingSizes, isEnough, largestSize, tellCpus, tellSize } from '../../../src/domain/machine-size.ts';
import type { Finding } from '../../../src/domain/ports.ts';
import type { AzureMachineOptions, AzureOptions } from './options.ts';
import type { Skus, SoldSize } from './skus.ts';
import { trustedLaunchOf } from './trusted-launch.ts';
import { sizeFor } from './vm-size.ts';

export type Sizing = { options: AzureOptions; machine: Machine; to: AzureMachineOptions; skus: Skus | null };

const GIB = 2 ** 30;
/** The series that a machine would commonly land as: no graphics, no bare metal. */
const COMMON = /^Standard_[BDEF]\d/;
const PROPOSALS = 4;

/** "Standard_D2s_v5 (2 cpus, 8 GiB)"; null where no common size is large enough. */
export function describeSize({ machine, to, skus }: Sizing): string | null {
  const own = sizeFor(machine);
  const name = to.size ?? own?.name;
  if (name === undefined) return null;
  return tell(skus?.sizes.get(name.toLowerCase()) ?? (to.size === undefined ? own : null), name);
}

export function checkSize(sizing: Sizing): Finding[] {
  const { options, machine, to, skus } = sizing;
  const name = to.size ?? sizeFor(machine)?.name;
  if (name === undefined) {
    const message = `no common size has ${tellCpus(machine.cpus)} and ${inGib(machine.memoryBytes)} GiB and takes ${machine.disks.length} disks`;
    return [failed(machine.name, message, proposalOf(sizing))];
  }
  if (skus === null) return [];
  const subject = `${machine.name}: ${name}`;
  const size = skus.sizes.get(name.toLowerCase());
  if (size === undefined)
    return [failed(subject, `there is no such size in ${options.location}`, proposalOf(sizing))];
  const unfit = unfitReason(size, sizing);
  if (unfit !== null) return [failed(subject, unfit, proposalOf(sizing))];
  if (isEnough(size, machine)) return [];
  const message = `it has ${tellCpus(size.cpus)} and ${size.memoryGiB} GiB; the machine has ${machine.cpus} and ${inGib(machine.memoryBytes)} GiB`;
  return [warned(subject, message, 'Name a larger one, if the machine needs all it has.')];
}

export function checkDiskType({ options, machine, to, skus }: Sizing): Finding[] {
  const diskType = to.diskType ?? options.diskType;
  if (skus === null || skus.diskTypes.has(diskType)) return [];
  const remedy =
    skus.diskTypes.size === 0
      ? 'Azure lists no types of disks there for this subscription: choose another `location`.'
      : `Set \`diskType\` to one of ${[...skus.diskTypes].toSorted().join(', ')}.`;
  return [failed(`${machine.name}: ${diskType}`, `there are no such disks in ${options.location}`, remedy)];
}

function unfitReason(size: SoldSize, { options, machine, to }: Sizing): string | null {
  const generation = machine.firmware === 'uefi' ? 'V2' : 'V1';
  const dataDisks = machine.disks.length - 1;
  const diskType = to.diskType ?? options.diskType;
  if (!size.isSold) return `Azure does not sell it to this subscription in ${options.location} now`;
  if (!size.isX64) return 'its processors are not x86-64';
  if (!size.generations.includes(generation))
    return `it does not boot by ${machine.firmware.toUpperCase()} (generation ${generation.slice(1)})`;
  if (dataDisks > size.dataDisks)
    return `it takes ${size.dataDisks} data disks, and the machine has ${dataDisks}`;
  if (diskType.startsWith('Premium') && !size.takesPremium) return `it takes no disks of ${diskType}`;
  if (trustedLaunchOf(machine, to) !== null && !size.takesTrustedLaunch)
    return 'it has neither Secure Boot nor a virtual TPM';
  if (to.zone !== undefined && !size.zones.includes(to.zone))
    return `Azure does not sell it to this subscription in zone ${to.zone} of ${options.location} now`;
  return null;
}

/** The cheapest that would do, as Azure's own list has them. */
function proposalOf(sizing: Sizing): string {
  const { machine, skus } = sizing;
  const fitting = fittingSizes(machine, [...(skus?.sizes.values() ?? [])])
    .filter((size) => COMMON.test(size.name) && unfitReason(size, sizing) === null)
    .slice(0, PROPOSALS)
    .map((size) => tell(size, size.name));
  const rename = 'Name another one as `size` under `to:`';
  if (fitting.length > 0) return `${rename}: ${fitting.join(', ')}.`;
  const largest = largestSize(
    [...(skus?.sizes.values() ?? [])].filter((size) => COMMON.test(size.name) && size.isSold && size.isX64),
  );
  if (largest === null || isEnough(largest, machine)) return `${rename}.`;
  return `${rename}, or give the machine less at the source: the largest common one there is ${tellSize(largest)}.`;
}

function tell(size: { cpus: number; memoryGiB: number } | null, name: string): string {
  if (size === null) return name;
  return tellSize({ ...size, name });
}

function inGib(bytes: number): string {
  return String(Math.round((bytes / GIB) * 10) / 10);
}
