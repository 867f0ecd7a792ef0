/** Machines for the tests of targets. */

import type { JsonObject } from '../../../src/domain/json.ts';
import type { Machine } from '../../../src/domain/machine.ts';
import type { PlannedMachine } from '../../../src/domain/ports.ts';
import { PLAIN_PLAN } from '../../fakes/records.ts';

const GIB = 2 ** 30;

export type MachineTraits = Partial<Machine> & { diskCount?: number; bootDisk?: string };

export function machineWith({ diskCount = 1, bootDisk = '0', ...traits }: MachineTraits = {}): Machine {
  const name = traits.name ?? 'web01';
  return {
    name,
    uuid: null,
    identity: `test:${name}`,
    firmware: 'bios',
    secureBoot: false,
    cpus: 1,
    memoryBytes: GIB / 2,
    os: 'debian12_64Guest',
    disks: Array.from({ length: diskCount }, (_, index) => ({
      id: String(index),
      bytes: GIB,
      format: 'raw' as const,
      file: `/images/${name}-${index}.raw`,
      boots: String(index) === bootDisk,
    })),
    nics: [{ network: 'lan', model: 'virtio', mac: null }],
    ...traits,
  };
}

export function plannedWith(to: JsonObject, traits: MachineTraits = {}): PlannedMachine {
  const machine = machineWith(traits);
  const proof = { expect: ['login:'], refuse: [], deadlineSeconds: 60, checks: [] };
  return { machine, wave: { ...PLAIN_PLAN, name: machine.name, from: {}, to, export: 'in-place', proof } };
}
