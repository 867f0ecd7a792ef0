/** Machines and records for tests. */
import type { Image } from '../../src/domain/image.ts';
import type { Job, StepStage } from '../../src/domain/job.ts';
import type { Disk, Machine } from '../../src/domain/machine.ts';
import { type MachineRecord, newMachineRecord } from '../../src/domain/machine-record.ts';
import type { ProofPolicy } from '../../src/domain/wave.ts';
import { PLAIN_PLAN } from './records.ts';

export const MIB = 1024 * 1024;

export function createMachine(options: { name?: string; disks?: number; diskBytes?: number } = {}): Machine {
  const { name = 'web01', disks = 1, diskBytes = MIB } = options;
  return {
    name,
    uuid: null,
    identity: `files:/vm/${name}`,
    firmware: 'bios',
    secureBoot: false,
    cpus: 1,
    memoryBytes: 512 * MIB,
    os: null,
    disks: Array.from({ length: disks }, (_, index) => createDisk(String(index), diskBytes)),
    nics: [],
  };
}

export function createDisk(id: string, bytes: number): Disk {
  return { id, bytes, format: 'raw', file: `/vm/${id}.raw`, boots: id === '0' };
}

export function createRecord(
  options: { machine?: Machine; proof?: Partial<ProofPolicy>; isControlled?: boolean } = {},
): MachineRecord {
  const { machine = createMachine() } = options;
  const proof = { expect: ['login:'], refuse: [], deadlineSeconds: 60, checks: [], ...options.proof };
  const plan = { ...PLAIN_PLAN, name: machine.name, from: {}, to: {}, export: 'in-place' as const, proof };
  const { isControlled = false } = options;
  const record = newMachineRecord({ run: 'run-1', position: 0, site: null, plan, machine, isControlled });
  return { ...record, status: 'moving' };
}

export function createJob(stage: StepStage, disk: string | null = null, machine = 'web01'): Job {
  return { run: 'run-1', machine, stage, disk, pass: 0, try: 1 };
}

export function rawImage(path: string, bytes: number): Image {
  return {
    site: null,
    bytes,
    layout: { kind: 'single', format: 'raw', file: { path, offsetBytes: 0, lengthBytes: null } },
  };
}
