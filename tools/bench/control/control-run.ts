/** A run as large as the largest: machines that are turned off, copied and proven, of which nothing is real. */
import { type MachineRecord, newMachineRecord } from '../../../src/domain/machine-record.ts';
import type { RunRecord } from '../../../src/domain/run-record.ts';
import type { Wave, WaveMachine } from '../../../src/domain/wave.ts';
import type { Window } from '../../../src/domain/window.ts';

export type ControlRun = { run: RunRecord; records: MachineRecord[] };

/** `movingAtOnce`: Infinity where nothing limits them. */
export function makeControlRun(wish: {
  id: string;
  machines: number;
  movingAtOnce: number;
  window: Window | null;
  now: number;
}): ControlRun {
  const { id, now, window } = wish;
  const machines = Array.from({ length: wish.machines }, (_none, index) => planOf(`vm-${index}`));
  const wave: Wave = {
    name: id,
    file: `/etc/landfall/waves/${id}.yaml`,
    digest: id,
    source: { kind: 'libvirt', site: null, options: { uri: 'qemu+ssh://kvm1.dc1.example/system' } },
    target: { kind: 'aws', options: { region: 'eu-central-1', bucket: 'acme-migration' } },
    machines,
    groups: { web: { stopAfter: { percent: 10 } } },
    window: null,
    onOverrun: 'rollback',
    isApprovalRequired: false,
    notify: [],
    limits: { machines: Math.min(wish.movingAtOnce, wish.machines), tries: 3 },
  };
  const run: RunRecord = {
    id,
    version: 0,
    wave,
    status: 'running',
    machines: machines.map(({ name }) => name),
    createdAt: now,
    plannedBy: null,
    endedAt: null,
    archivedAt: null,
    window,
    approval: null,
    hold: null,
    passedFailures: {},
  };
  return { run, records: machines.map((plan, position) => recordOf({ run: id, plan, position })) };
}

function planOf(name: string): WaveMachine {
  return {
    name,
    from: { name },
    to: { subnet: 'subnet-0123456789abcdef0', securityGroups: ['sg-0123456789abcdef0'], size: 't3.medium' },
    export: 'in-place',
    proof: { expect: ['login:'], refuse: [], deadlineSeconds: 600, checks: [] },
    group: 'web',
    after: [],
    shutdown: { graceSeconds: 300, force: false },
    onFailure: 'rollback',
    hooks: [],
  };
}

function recordOf({
  run,
  plan,
  position,
}: {
  run: string;
  plan: WaveMachine;
  position: number;
}): MachineRecord {
  const { name } = plan;
  return newMachineRecord({
    run,
    position,
    site: null,
    plan,
    isControlled: true,
    machine: {
      name,
      uuid: null,
      identity: `libvirt:kvm1.dc1.example:${run}:${name}`,
      firmware: 'uefi',
      secureBoot: false,
      cpus: 2,
      memoryBytes: 4 * 2 ** 30,
      os: 'debian12',
      host: `kvm${position % 20}.dc1.example`,
      nics: [{ network: 'prod', model: 'virtio', mac: '52:54:00:12:34:56' }],
      disks: [
        {
          id: '0',
          bytes: 2 ** 36,
          format: 'qcow2',
          file: `/var/lib/libvirt/images/${name}.qcow2`,
          boots: true,
        },
      ],
    },
  });
}
