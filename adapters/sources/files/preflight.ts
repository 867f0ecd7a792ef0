/** What `plan` says about machines beyond what reading them refuses. */
import { resolve } from 'node:path';
import { bootDisk, type Machine } from '../../../src/domain/machine.ts';
import type { Finding, PlannedMachine } from '../../../src/domain/ports.ts';
import { isGzipFile } from '../../../src/images/disk-content.ts';
import { type FilesMachineOptions, machineOptions } from './options.ts';

/** Warns of firmware that no file and no wave said: a UEFI guest that lands as BIOS does not boot there. */
export async function preflightFiles(
  machines: readonly PlannedMachine[],
  { folder, signal }: { folder: string; signal: AbortSignal },
): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const { machine, wave } of machines) {
    const from = machineOptions(wave.from);
    if (from.firmware !== undefined || !isBare(machine, { from, folder })) continue;
    if (await showsPartitions(machine, signal)) continue;
    findings.push({
      level: 'warn',
      subject: machine.name,
      message: `its image does not say how it boots: ${machine.firmware} is assumed`,
      remedy: 'Say `firmware: bios` or `firmware: uefi` under `from:`.',
    });
  }
  return findings;
}

/** Made of disk images alone. The disks of an appliance are other files than the one that `path` names. */
function isBare(machine: Machine, { from, folder }: { from: FilesMachineOptions; folder: string }): boolean {
  return from.path === undefined || bootDisk(machine).file === resolve(folder, from.path);
}

/** Can its partition table be read without a qemu tool? Then the firmware was told by that. */
async function showsPartitions(machine: Machine, signal: AbortSignal): Promise<boolean> {
  const { format, file } = bootDisk(machine);
  return format === 'raw' && file !== null && !(await isGzipFile(file, signal));
}
