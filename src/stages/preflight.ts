/** What `plan` can tell from the machines and the target's declared limits, before anything moves. */
import { stat } from 'node:fs/promises';
import { DIGEST_BYTES } from '../blocks/digest-tree.ts';
import { BLOCK_BYTES } from '../blocks/stream-encoder.ts';
import { formatBytes } from '../domain/byte-size.ts';
import { asLandfallError } from '../domain/errors.ts';
import type { Disk, Machine } from '../domain/machine.ts';
import type { Finding, PlannedMachine, Target } from '../domain/ports.ts';
import { freeBytes } from './staging-space.ts';

type PlannedTarget = Pick<Target, 'capabilities' | 'uploadForm'>;

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
    ...planned.flatMap((machine) => checkMachine(machine, target)),
    ...(await checkStaging(preflight)),
    ...(await checkDigests(preflight)),
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

function checkMachine(planned: PlannedMachine, target: PlannedTarget): Finding[] {
  const { capabilities } = target;
  const { machine } = planned;
  const { name, disks, firmware } = machine;
  const findings = disks.flatMap((disk) => checkDisk(planned, disk, target));
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

function checkDisk(
  { machine, wave }: PlannedMachine,
  disk: Disk,
  { capabilities, uploadForm }: PlannedTarget,
): Finding[] {
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
    uploadForm({ bytes: disk.bytes, to: wave.to });
    return [];
  } catch (error) {
    const { message } = asLandfallError(error);
    return [fail(subject, message, 'Change the disk at the source, or take another target.')];
  }
}

/** Machines that are spooled, or have disks that must be unpacked, hold them in staging until their import is done. */
async function checkStaging({ planned, stagingFolder, machinesAtOnce }: Preflight): Promise<Finding[]> {
  const staged = planned.filter(({ wave, machine }) => wave.export === 'spool' || unpackedBytes(machine) > 0);
  if (staged.length === 0) return [];
  const needs = await Promise.all(staged.map(estimateStaged));
  const { largest, atOnce } = largestAtOnce(needs, machinesAtOnce);
  const free = await freeBytes(stagingFolder);
  const subject = `staging ${stagingFolder}`;
  const state = `${formatBytes(free)} are free`;
  if (largest > free) {
    const message = `One machine may need ${formatBytes(largest)} in staging; ${state}.`;
    return [
      fail(
        subject,
        message,
        'Free some space, point staging to a larger disk, leave `export: spool` out, or unpack gzip-compressed disks at the source.',
      ),
    ];
  }
  if (atOnce > free) {
    const message = `${Math.min(machinesAtOnce, staged.length)} machines at once may need ${formatBytes(atOnce)} in staging; ${state}.`;
    return [warn(subject, message, 'Free some space, or lower limits.machines.')];
  }
  return [ok(subject, `${atOnce === 0 ? 'nothing' : `up to ${formatBytes(atOnce)}`} needed, ${state}`)];
}

/** While disks are uploaded their digests lie in Redis: 32 bytes for each block that holds data. */
async function checkDigests({ planned, machinesAtOnce }: Preflight): Promise<Finding[]> {
  if (planned.length === 0) return [];
  const needs = await Promise.all(planned.map(({ machine }) => estimateData(machine)));
  const { atOnce } = largestAtOnce(needs, machinesAtOnce);
  const bytes = Math.ceil(atOnce / BLOCK_BYTES) * DIGEST_BYTES;
  const subject = 'digests in Redis';
  if (bytes > DIGEST_BUDGET_BYTES) {
    const message = `The machines on the move at once may hold ${formatBytes(atOnce)} of data, whose digests take ${formatBytes(bytes)} in Redis; the limit is ${formatBytes(DIGEST_BUDGET_BYTES)}.`;
    return [
      fail(subject, message, 'Lower limits.machines, or move the largest machines in a wave of their own.'),
    ];
  }
  return [ok(subject, `up to ${formatBytes(bytes)} while ${formatBytes(atOnce)} of data are uploaded`)];
}

/** A Redis of 2 GB holds it beside the records of four hundred machines: 16 TiB of data on the move at once. */
const DIGEST_BUDGET_BYTES = 2 ** 30;

function largestAtOnce(
  needs: readonly number[],
  machinesAtOnce: number,
): { largest: number; atOnce: number } {
  const largestFirst = [...needs].sort((a, b) => b - a);
  const atOnce = largestFirst.slice(0, machinesAtOnce).reduce((sum, bytes) => sum + bytes, 0);
  return { largest: largestFirst[0] ?? 0, atOnce };
}

async function estimateStaged({ wave, machine }: PlannedMachine): Promise<number> {
  return unpackedBytes(machine) + (wave.export === 'spool' ? await estimateData(machine) : 0);
}

function unpackedBytes({ disks }: Machine): number {
  return disks.reduce((sum, disk) => sum + (disk.unpackedBytes ?? 0), 0);
}

async function estimateData({ disks }: Machine): Promise<number> {
  const bytes = await Promise.all(disks.map(estimateDisk));
  return bytes.reduce((sum, one) => sum + one, 0);
}

/** A disk holds at most its size, and its file bounds it: data seldom compress to less than a quarter. */
async function estimateDisk({ file, format, bytes }: Disk): Promise<number> {
  if (file === null) return 0;
  const heldBytes = await allocatedBytes(file);
  return heldBytes === null ? bytes : Math.min(bytes, UNCOMPRESSED.has(format) ? heldBytes : 4 * heldBytes);
}

const UNCOMPRESSED: ReadonlySet<string> = new Set(['raw', 'vhd', 'vhdx']);

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
