/** A machine's page, made up: its steps with retries, its disks, its events. */
import type { DiskMap, MachineDetail, ShownEvent } from '../../../src/dashboard/api/machine.ts';
import type { MachineLine, RunSummary } from '../../../src/dashboard/api/run.ts';
import { MINUTE_MS, NOW } from './fixture-run.ts';

const GIB = 1024 ** 3;
const RESET = 'The connection to s3.eu-central-1.amazonaws.com was reset after 1.2 GiB of 40 GiB.';
const DENIED =
  'Upload of disk vda stopped at 1.2 GiB of 40 GiB: the bucket acme-mig denied PutObject. Grant s3:PutObject to arn:aws:iam::1:role/landfall and run `landfall retry weekend-1`.';

export function makeStep(
  differs: Partial<MachineDetail['steps'][number]> = {},
): MachineDetail['steps'][number] {
  const stage = differs.stage ?? 'upload';
  const disk = differs.disk ?? null;
  return {
    key: disk === null ? stage : `${stage}/${disk}`,
    stage,
    disk,
    pass: 0,
    state: 'pending',
    try: 1,
    failures: 0,
    notBefore: null,
    startedAt: null,
    endedAt: null,
    error: null,
    ...differs,
  };
}

export function makeMachineDetail(run: RunSummary, line: MachineLine): MachineDetail {
  const at = (minutes: number): number => NOW - minutes * MINUTE_MS;
  const hasFailed = line.status === 'failed';
  const isLanded = line.status === 'landed';
  const error = { code: 'TARGET_DENIED', message: DENIED, retryable: false };
  const done = (
    stage: MachineDetail['steps'][number]['stage'],
    from: number,
    to: number,
    disk: string | null = null,
  ) => makeStep({ stage, disk, state: 'done', startedAt: at(from), endedAt: at(to) });
  const tail = isLanded
    ? [done('import', 22, 10), done('validate', 10, 5), done('admit', 5, 4)]
    : [makeStep({ stage: 'import' }), makeStep({ stage: 'validate' }), makeStep({ stage: 'admit' })];
  return {
    now: NOW,
    run: { id: run.id, wave: run.wave, status: run.status, timezone: run.window?.timezone ?? null },
    line,
    hardware: {
      identity: '4c4c4544-0042-3510-8058-b8c04f4e3332',
      firmware: 'uefi',
      cpus: 8,
      memoryBytes: 32 * GIB,
      os: 'Debian GNU/Linux 12',
      host: 'kvm-07.berlin.acme.example',
    },
    hold: line.status === 'held' ? { by: 'ada', at: at(4), reason: 'the database team looks at it' } : null,
    steps: [
      done('shutdown', 70, 68),
      done('export', 68, 66, 'vda'),
      done('export', 68, 65.5, 'vdb'),
      done('convert', 65, 62),
      isLanded
        ? makeStep({
            stage: 'upload',
            disk: 'vda',
            state: 'done',
            try: 3,
            failures: 2,
            startedAt: at(62),
            endedAt: at(22),
          })
        : makeStep({
            stage: 'upload',
            disk: 'vda',
            state: hasFailed ? 'failed' : 'active',
            try: 3,
            failures: 2,
            startedAt: at(62),
            endedAt: hasFailed ? at(12) : null,
            error: hasFailed ? error : null,
          }),
      done('upload', 62, 31, 'vdb'),
      ...tail,
    ],
    disks: [
      {
        id: 'vda',
        bytes: 40 * GIB,
        dataBytes: 22 * GIB,
        doneBytes: 9 * GIB,
        artifact: isLanded ? { kind: 'ebs-snapshot', bytes: 22 * GIB, ref: 'snap-0c0ffee0c0ffee01' } : null,
        digests: [],
      },
      {
        id: 'vdb',
        bytes: 120 * GIB,
        dataBytes: 31 * GIB,
        doneBytes: 31 * GIB,
        artifact: { kind: 'ebs-snapshot', bytes: 31 * GIB, ref: 'snap-0a1b2c3d4e5f60718' },
        digests: [
          {
            algorithm: 'sha256-tree',
            value: 'f1d2d2f924e986ac86fdf7b36c94bcdf32beec15a2b3c4d5e6f708192a3b4c5d',
            isConfirmed: true,
          },
          {
            algorithm: 'sha256',
            value: '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08',
            isConfirmed: false,
          },
        ],
      },
    ],
    landing: isLanded ? { kind: 'ec2-instance', id: 'i-0abc123def4567890', address: '10.0.3.7' } : null,
    proof: isLanded
      ? {
          provenAt: at(5),
          consoleLines: [
            '[    9.123456] systemd[1]: Reached target multi-user.target',
            'shop-db login: <b>not markup</b>',
          ],
          checks: [
            { name: 'console', state: 'ok', detail: 'said "login:" after 41 s' },
            { name: 'https://10.0.3.7/health', state: 'ok', detail: 'answered 200 after 52 s' },
          ],
          hasScreenshot: true,
        }
      : null,
    hasConsole: line.status !== 'waiting' && line.status !== 'blocked',
    hasScreenshot: isLanded || hasFailed || line.status === 'held',
    ledger: [
      {
        thing: 'upload/vdb',
        generation: 1,
        state: 'done',
        made: [{ kind: 'ebs-snapshot', id: 'snap-0a1b2c3d4e5f60718' }],
        isLeftover: hasFailed,
        costPerMonth: hasFailed ? 1.55 : null,
        at: at(31),
      },
      {
        thing: 'upload/vda',
        generation: 2,
        state: 'intended',
        made: [{ kind: 'ebs-snapshot', id: null }],
        isLeftover: hasFailed,
        costPerMonth: null,
        at: at(62),
      },
      {
        thing: 'shutdown',
        generation: 1,
        state: 'done',
        made: [],
        isLeftover: false,
        costPerMonth: null,
        at: at(68),
      },
    ],
    remedies: hasFailed
      ? [
          `landfall retry ${run.id} ${shellWord(line.name)}`,
          `landfall rollback ${run.id} ${shellWord(line.name)}`,
          `landfall logs ${run.id} ${shellWord(line.name)}`,
        ]
      : [],
  };
}

export function makeEvents(run: string, machine: string): ShownEvent[] {
  const at = (minutes: number): number => NOW - minutes * MINUTE_MS;
  const step = (
    minutes: number,
    key: string,
    state: string,
    tries = 1,
    error: string | null = null,
  ): ShownEvent => ({
    id: `${at(minutes)}-0`,
    at: at(minutes),
    type: 'step',
    run,
    machine,
    step: key,
    state,
    try: tries,
    error: error === null ? null : { code: 'SOME', message: error, retryable: true },
    text: `${machine} ${key} ${state}${error === null ? '' : `: ${error}`}`,
  });
  const log = (minutes: number, level: string, text: string): ShownEvent => ({
    id: `${at(minutes)}-1`,
    at: at(minutes),
    type: 'log',
    run,
    machine,
    level,
    text: `${machine} upload/vda ${text}`,
  });
  return [
    {
      id: `${at(71)}-0`,
      at: at(71),
      type: 'operator',
      run,
      machine,
      action: 'release',
      text: `${machine} release by ada (the backup is done)`,
    },
    step(70, 'shutdown', 'started'),
    step(68, 'shutdown', 'done'),
    step(62, 'upload/vda', 'started'),
    log(60, 'info', '12.4 GiB of 40 GiB'),
    step(48, 'upload/vda', 'retrying', 2, RESET),
    log(47, 'warn', 'warn: the line loses one packet in a hundred'),
    step(30, 'upload/vda', 'retrying', 3, RESET),
    step(12, 'upload/vda', 'failed', 3, DENIED),
    log(11, 'error', '<script>alert("events are text")</script>\u202e dlrow'),
  ];
}

/** `cells` like those of a copy that is a third done. */
export function makeDiskMap(disk: string, progress: number): DiskMap {
  const cells = Array.from({ length: 512 }, (_, index) => {
    const isZero = (index * 7919) % 97 > 52 || index > 400;
    const mixed = (index * 31) % 11 === 0 ? 0.5 : 1;
    const isCopied = index < progress * 512;
    return {
      copied: isCopied && !isZero ? mixed : isCopied && mixed < 1 ? 0.5 : 0,
      zero: isZero ? mixed : 0,
    };
  });
  return { disk, bytes: 40 * GIB, cellBytes: (40 * GIB) / 512, cells };
}

function shellWord(name: string): string {
  return /^[\w.-]+$/.test(name) ? name : `'${name}'`;
}
