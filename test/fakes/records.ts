/** Made-up machines, waves and runs. */

import type { Machine } from '../../src/domain/machine.ts';
import { type MachineRecord, newMachineRecord } from '../../src/domain/machine-record.ts';
import type { RunRecord } from '../../src/domain/run-record.ts';
import type { Wave, WaveMachine } from '../../src/domain/wave.ts';

export function makeMachine(name: string, disks = 1): Machine {
  return {
    name,
    uuid: null,
    identity: `files:/estate/${name}`,
    firmware: 'bios',
    secureBoot: false,
    cpus: 1,
    memoryBytes: 256 * 1024 ** 2,
    os: null,
    nics: [],
    disks: Array.from({ length: disks }, (_none, index) => ({
      id: String(index),
      bytes: 64 * 1024 ** 2,
      format: 'raw',
      file: `/estate/${name}-${index}.raw`,
      boots: index === 0,
    })),
  };
}

/** What a wave file that does not speak of cutovers comes to. */
export const PLAIN_PLAN = {
  group: null,
  after: [],
  shutdown: { graceSeconds: 300, force: false },
  onFailure: 'leave',
  hooks: [],
} as const;

export const PLAIN_WAVE = {
  groups: {},
  window: null,
  onOverrun: 'rollback',
  isApprovalRequired: false,
  isApprovalByAnother: false,
  notify: [],
} as const;

/** What is true of a run whose wave has no window. */
export const PLAIN_RUN = { window: null, approval: null, hold: null, passedFailures: {} } as const;

/** Of an open run. */
export const OPEN_VIEW = {
  isLive: true,
  isOpen: true,
  mayStart: true,
  overrun: null,
  isOver: false,
  tries: 3,
} as const;

export function makePlan(name: string): WaveMachine {
  return {
    name,
    from: {},
    to: {},
    export: 'in-place',
    proof: { expect: ['login:'], refuse: [], deadlineSeconds: 60, checks: [] },
    ...PLAIN_PLAN,
  };
}

export function makeWave(
  name: string,
  machines: readonly string[],
  limits: Partial<Wave['limits']> = {},
): Wave {
  return {
    name,
    file: `/waves/${name}.yaml`,
    digest: name,
    ...PLAIN_WAVE,
    source: { kind: 'files', site: null, options: {} },
    target: { kind: 'aws', options: {} },
    machines: machines.map(makePlan),
    limits: { machines: 10, tries: 3, ...limits },
  };
}

export function makeRun(id: string, wave: Wave): RunRecord {
  return {
    id,
    version: 0,
    wave,
    status: 'running',
    machines: wave.machines.map((machine) => machine.name),
    createdAt: 1_000,
    plannedBy: 'ann@host',
    endedAt: null,
    archivedAt: null,
    ...PLAIN_RUN,
  };
}

export function makeRecords(run: RunRecord, disks = 1): MachineRecord[] {
  return run.wave.machines.map((plan, position) =>
    newMachineRecord({
      run: run.id,
      position,
      site: null,
      plan,
      machine: makeMachine(plan.name, disks),
      isControlled: false,
    }),
  );
}
