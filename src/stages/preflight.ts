/** What `plan` can tell from the machines and the target's declared limits, before anything moves. */
import { stat } from 'node:fs/promises';
import { formatBytes } from '../domain/byte-size.ts';
import { asLandfallError } from '../domain/errors.ts';
import type { Container } from '../domain/image.ts';
import type { Disk, Machine } from '../domain/machine.ts';
import type { Finding, PlannedMachine, Target } from '../domain/ports.ts';
import { freeBytes, spaceFor } from './staging-space.ts';

type PlannedTarget = Pick<Target, 'capabilities' | 'containerFor'>;

export type Preflight = {
  planned: readonly PlannedMachine[];
  target: PlannedTarget;
  stagingFolder: string;
  /** limits.machines of the wave. */
  machinesAtOnce: number;
};

/** Findings `fail` refuse the run. Reads file sizes, no data. */
export async function checkMachines(preflight: Preflight): Promise<Finding[]> {
  const { planned, target } = preflight;
  return [
    ...findDuplicates(planned),
    ...planned.flatMap(({ machine }) => checkMachine(machine, target)),
    ...(await checkStaging(preflight)),
  ];
}

function findDuplicates(planned: readonly PlannedMachine[]): Finding[] {
  const findings: Finding[] = [];
  const names = new Set<string>();
  const owners = new Map<string, string>();
  for (const { machine } of planned) {
    const { name, identity } = machine;
    if (names.has(name)) {
      findings.push(
        fail(name, `Two machines of the wave are named ${name}.`, 'Give each machine its own name.'),
      );
    }
    const owner = owners.get(identity);
    if (owner !== undefined && owner !== name) {
      findings.push(
        fail(
          name,
          `${name} and ${owner} are the same source machine (${identity}).`,
          'Take one of them out of the wave.',
        ),
      );
    }
    names.add(name);
    owners.set(identity, owner ?? name);
  }
  return findings;
}

function checkMachine(machine: Machine, target: PlannedTarget): Finding[] {
  const { capabilities } = target;
  const { name, disks, firmware } = machine;
  const findings = disks.flatMap((disk) => checkDisk(machine, disk, target));
  if (disks.length > capabilities.maxDisks) {
    findings.push(
      fail(
        name,
        `${name} has ${disks.length} disks; the target takes ${capabilities.maxDisks}.`,
        'Join or take away disks at the source.',
      ),
    );
  }
  const bootDisks = disks.filter((disk) => disk.boots).length;
  if (bootDisks !== 1) {
    findings.push(
      fail(
        name,
        `${name} has ${bootDisks} disks that boot; it needs one.`,
        'Say in the source which disk boots.',
      ),
    );
  }
  if (!capabilities.firmware.includes(firmware)) {
    findings.push(
      fail(
        name,
        `${name} boots by ${firmware}; the target knows ${capabilities.firmware.join(', ')}.`,
        'Convert the guest, or take another target.',
      ),
    );
  }
  return findings.length > 0 ? findings : [ok(name, describeMachine(machine))];
}

function checkDisk(machine: Machine, disk: Disk, { capabilities, containerFor }: PlannedTarget): Finding[] {
  const subject = `${machine.name} disk ${disk.id}`;
  const size = formatBytes(disk.bytes);
  if (disk.bytes <= 0) {
    return [fail(subject, `${subject} has no size.`, 'Check its image with `landfall inspect`.')];
  }
  if (disk.bytes > capabilities.maxDiskBytes) {
    const limit = formatBytes(capabilities.maxDiskBytes);
    const message = `${subject} has ${size}; the target takes at most ${limit}.`;
    return [fail(subject, message, 'Shrink the disk or split its data at the source.')];
  }
  try {
    containerFor({ bytes: disk.bytes });
    return [];
  } catch (error) {
    const { message } = asLandfallError(error);
    return [fail(subject, message, 'Change the disk at the source, or take another target.')];
  }
}

/** Each machine on the move holds its converted disks in staging until its import is done. */
async function checkStaging({
  planned,
  target,
  stagingFolder,
  machinesAtOnce,
}: Preflight): Promise<Finding[]> {
  if (planned.length === 0) return [];
  const needs = await Promise.all(planned.map(({ machine }) => estimateStaging(machine, target)));
  const largestFirst = needs.sort((a, b) => b - a);
  const largest = largestFirst[0] ?? 0;
  const atOnce = largestFirst.slice(0, machinesAtOnce).reduce((sum, bytes) => sum + bytes, 0);
  const free = await freeBytes(stagingFolder);
  const subject = `staging ${stagingFolder}`;
  const state = `${formatBytes(free)} are free`;
  if (largest > free) {
    const message = `One machine may need ${formatBytes(largest)} in staging; ${state}.`;
    return [fail(subject, message, 'Free some space, or point staging to a larger disk.')];
  }
  if (atOnce > free) {
    const message = `${Math.min(machinesAtOnce, planned.length)} machines at once may need ${formatBytes(atOnce)} in staging; ${state}.`;
    return [warn(subject, message, 'Free some space, or lower limits.machines.')];
  }
  return [ok(subject, `${atOnce === 0 ? 'nothing' : `up to ${formatBytes(atOnce)}`} needed, ${state}`)];
}

async function estimateStaging(machine: Machine, target: PlannedTarget): Promise<number> {
  let total = 0;
  for (const disk of machine.disks) total += await estimateDisk(disk, target);
  return total;
}

/**
 * Never far too little, sometimes too much: the data of a disk is at most its virtual size; its file bounds it where the
 * file is not denser than what will be written. Which files go up as they are is known only when they are read.
 */
async function estimateDisk(disk: Disk, target: PlannedTarget): Promise<number> {
  if (disk.file === null || disk.bytes > target.capabilities.maxDiskBytes) return 0;
  const container = containerOf(disk, target);
  if (container === null) return 0;
  const heldBytes = await allocatedBytes(disk.file);
  const isBounded = heldBytes !== null && (container === 'vmdk-stream-optimized' || disk.format === 'raw');
  return spaceFor(isBounded ? Math.min(heldBytes, disk.bytes) : disk.bytes);
}

function containerOf(disk: Disk, target: PlannedTarget): Container | null {
  try {
    return target.containerFor({ bytes: disk.bytes });
  } catch {
    return null; // told as a finding of its own
  }
}

/** What the file (or the archive that holds it) takes on its disk; null where it cannot be asked. */
async function allocatedBytes(file: string): Promise<number | null> {
  for (const path of [file, file.slice(0, Math.max(0, file.lastIndexOf('!')))]) {
    const found = path === '' ? null : await stat(path).catch(() => null);
    if (found?.isFile()) return found.blocks * 512;
  }
  return null;
}

function describeMachine({ disks, firmware }: Machine): string {
  const bytes = disks.reduce((sum, disk) => sum + disk.bytes, 0);
  return `${firmware}, ${disks.length} ${disks.length === 1 ? 'disk' : 'disks'}, ${formatBytes(bytes)}`;
}

function ok(subject: string, message: string): Finding {
  return { level: 'ok', subject, message, remedy: null };
}

function warn(subject: string, message: string, remedy: string): Finding {
  return { level: 'warn', subject, message, remedy };
}

function fail(subject: string, message: string, remedy: string): Finding {
  return { level: 'fail', subject, message, remedy };
}
