/** What `plan` says about machines beyond what reading them refuses. */
import type { Finding, PlannedMachine } from '../../../src/domain/ports.ts';

/** Warns of firmware that no file and no wave said: a UEFI guest that lands as BIOS does not boot there. */
export function preflightFiles(machines: readonly PlannedMachine[]): Finding[] {
  return machines
    .filter(({ machine }) => machine.assumed?.includes('firmware') === true)
    .map(({ machine }) => ({
      level: 'warn',
      subject: machine.name,
      message: `its image does not say how it boots: ${machine.firmware} is assumed`,
      remedy: 'Say `firmware: bios` or `firmware: uefi` under `from:`.',
    }));
}
