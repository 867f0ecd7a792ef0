import type { Command } from 'commander';
import { formatBytes } from '../../domain/byte-size.ts';
import type { Machine } from '../../domain/machine.ts';
import type { CommandContext } from '../command-context.ts';
import { machineFacts } from '../machine-facts.ts';
import { openWorkshopFor } from '../open-app.ts';

export function addInspect(program: Command, context: CommandContext): void {
  program
    .command('inspect')
    .argument('<path>', 'disk image, .ova, .ovf, .vmx or a folder with one')
    .description('show what Landfall understands of a disk image or an appliance')
    .option('--json', 'print one JSON document (an array where there are several machines)')
    .action(async (path: string, options: { json?: boolean }) => {
      await using workshop = await openWorkshopFor(context);
      const machines = await workshop.inspect(path, context.interrupted);
      const facts = machines.map(inspected);
      if (options.json === true) context.terminal.json(facts.length === 1 ? facts[0] : facts);
      else for (const machine of machines) for (const line of describe(machine)) context.terminal.out(line);
    });
}

function inspected(machine: Machine): object {
  const { name, firmware, cpus, memoryBytes, nics, assumed = [] } = machine;
  const disks = machine.disks.map(({ id, bytes, format, file, boots }) => ({
    id,
    bytes,
    format,
    file,
    boots,
  }));
  return { name, firmware, cpus, memoryBytes, disks, nics, assumed };
}

function describe(machine: Machine): string[] {
  const { firmware, cpus, memory } = machineFacts(machine);
  const isAssumed = (machine.assumed ?? []).length > 0;
  return [
    `${machine.name}: ${firmware}, ${cpus}, ${memory}${machine.os === null ? '' : `, ${machine.os}`}`,
    ...machine.disks.map(
      (disk) =>
        `  disk ${disk.id}  ${formatBytes(disk.bytes)}  ${disk.format}  ${disk.file ?? 'blank, without a file'}${disk.boots ? '  (boots)' : ''}`,
    ),
    ...machine.nics.map(
      (nic) =>
        `  nic     ${nic.network ?? 'no network'}  ${nic.model ?? 'model unknown'}  ${nic.mac ?? 'no fixed MAC'}`,
    ),
    ...(isAssumed
      ? [
          '  assumed: the image does not say it; a wave may, with `firmware`, `cpus` and `memory` under `from:`',
        ]
      : []),
  ];
}
