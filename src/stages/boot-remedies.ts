/**
 * What helps a machine that did not prove itself, as the commands that do it. A run keeps its wave and its machines as
 * they were planned. A landing stays as it is until it is discarded, or, where the wave says `onFailure: rollback`, it is
 * gone by the time that an operator reads this: so each cause has its own way out.
 */
import type { MachineRecord } from '../domain/machine-record.ts';
import { endsInFirmware } from './console-firmware.ts';

/** The landing is sound and only needed longer. */
export function lookAgain(record: MachineRecord): string {
  if (goesBack(record)) return 'Slow boot: the wave must give it a longer `deadline` under `proof:`.';
  const { run, machine } = record;
  return `Slow boot: \`landfall retry ${run} ${machine.name}\` looks again with a fresh deadline.`;
}

/** Another landing of the same disks. */
export function landAgain(record: MachineRecord): string {
  if (goesBack(record)) return `${retryOf(record)} moves it again.`;
  const [discard, retry] = discardAndRetry(record);
  return `${discard} and ${retry} land it again.`;
}

export function changeGuest(record: MachineRecord, hint = ''): string {
  if (goesBack(record)) return `Guest must change${hint}: mend it at its source, ${retryOf(record)}.`;
  const [discard, retry] = discardAndRetry(record);
  return `Guest must change${hint}: ${discard}, mend it at its source, ${retry}.`;
}

/** A new run migrates every machine that its wave names, also those that landed in the old one. */
export function changeWave({ run }: MachineRecord): string {
  return `Wave file wrong: a run keeps the wave that it was made from, so \`landfall cancel ${run}\`, \`landfall cleanup ${run}\`, edit the file (take out what landed), \`landfall run WAVE --again\`.`;
}

/** '' where the source or the wave said how it boots, or where the console shows that the firmware did its part. */
export function suspectFirmware({ machine }: MachineRecord, lines: readonly string[]): string {
  if (machine.assumed?.includes('firmware') !== true || !endsInFirmware(lines)) return '';
  const other = machine.firmware === 'bios' ? 'uefi' : 'bios';
  return `Nothing but firmware spoke, and ${machine.firmware} was only assumed: its image does not say how it boots. If it boots by ${other.toUpperCase()}, the wave must say \`firmware: ${other}\` under \`from:\`.`;
}

function discardAndRetry(record: MachineRecord): [string, string] {
  return [`\`landfall discard ${record.run} ${record.machine.name}\``, retryOf(record)];
}

function retryOf({ run, machine: { name } }: MachineRecord): string {
  return `\`landfall retry ${run} ${name}\``;
}

function goesBack({ plan }: MachineRecord): boolean {
  return plan.onFailure === 'rollback';
}
