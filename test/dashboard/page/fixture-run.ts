/** Runs and machines as the server would tell them, made up: for tests of the page's view logic and for a look at it. */
import type { MachineLine, RunDetail, RunSummary, StageCell } from '../../../src/dashboard/api/run.ts';

export const NOW = Date.UTC(2026, 10, 21, 23, 40);
export const MINUTE_MS = 60_000;
export const HOUR_MS = 60 * MINUTE_MS;
const GIB = 1024 ** 3;
const FLOW = ['shutdown', 'export', 'convert', 'upload', 'import', 'validate', 'admit'] as const;

const NO_MACHINES: RunSummary['counts'] = {
  blocked: 0,
  waiting: 0,
  moving: 0,
  held: 0,
  landed: 0,
  failed: 0,
  'rolling-back': 0,
  'rolled-back': 0,
  cancelled: 0,
  discarded: 0,
};

export function makeRun(
  differs: Partial<RunSummary> = {},
  counts: Partial<RunSummary['counts']> = {},
): RunSummary {
  return {
    id: 'weekend-1',
    wave: 'weekend',
    file: 'workflows/weekend-example.yaml',
    status: 'running',
    source: 'libvirt',
    target: 'aws',
    createdAt: NOW - 30 * HOUR_MS,
    endedAt: null,
    archivedAt: null,
    plannedBy: 'ada',
    window: {
      opensAt: NOW - 2 * HOUR_MS,
      closesAt: NOW + 4 * HOUR_MS,
      rollbackBy: NOW + 3.4 * HOUR_MS,
      timezone: 'Europe/Berlin',
    },
    counts: { ...NO_MACHINES, landed: 12, moving: 26, failed: 1, held: 1, waiting: 1, ...counts },
    troubled: 2,
    standsStill: null,
    unserved: [],
    hold: null,
    approval: null,
    doneBytes: 1900 * GIB,
    totalBytes: 4100 * GIB,
    bytesPerSecond: 0.82 * GIB,
    estimate: {
      endsAt: NOW + 2 * HOUR_MS + 50 * MINUTE_MS,
      verdict: 'makes-it',
      bytesLeft: 2200 * GIB,
      bytesPerSecond: 0.82 * GIB,
      because: [
        '2.15 TiB are left to move, at 880 MB/s as held over the last 10 min: 45 min.',
        'Import took 38 min in this run (median of 12 machines), booting and checking 4 min.',
        '3 machines wait for others that have not landed.',
      ],
    },
    ...differs,
  };
}

export function makeRuns(): RunSummary[] {
  return [
    makeRun(),
    makeRun(
      {
        id: 'branch-offices-7',
        wave: 'branch-offices',
        target: 'azure',
        status: 'running',
        window: {
          opensAt: NOW - 3 * HOUR_MS,
          closesAt: NOW + 40 * MINUTE_MS,
          rollbackBy: NOW + 10 * MINUTE_MS,
          timezone: 'America/New_York',
        },
        troubled: 0,
        estimate: {
          endsAt: NOW + 75 * MINUTE_MS,
          verdict: 'misses-it',
          bytesLeft: 300 * GIB,
          bytesPerSecond: 0.1 * GIB,
          because: ['300 GiB are left to move, at 107 MB/s as held over the last 10 min: 50 min.'],
        },
        doneBytes: 220 * GIB,
        totalBytes: 520 * GIB,
        bytesPerSecond: 0.1 * GIB,
        unserved: [
          'upload.new-york: 4 steps wait, and no worker serves this pool. Start one there: `landfall worker --site new-york`.',
        ],
      },
      { landed: 3, moving: 4, failed: 0, held: 0, waiting: 0 },
    ),
    makeRun(
      {
        id: 'erp-1',
        wave: 'erp',
        status: 'scheduled',
        troubled: 0,
        window: {
          opensAt: NOW + 22 * HOUR_MS,
          closesAt: NOW + 28 * HOUR_MS,
          rollbackBy: NOW + 27 * HOUR_MS,
          timezone: 'Europe/Berlin',
        },
        approval: { given: null, byAnother: true },
        estimate: { endsAt: null, verdict: 'unknown', bytesLeft: 900 * GIB, bytesPerSecond: 0, because: [] },
        doneBytes: 0,
        bytesPerSecond: 0,
      },
      { landed: 0, moving: 0, failed: 0, held: 0, waiting: 9 },
    ),
    makeRun(
      {
        id: 'pilot-3',
        wave: 'pilot',
        status: 'landed',
        troubled: 0,
        createdAt: NOW - 9 * 24 * HOUR_MS,
        endedAt: NOW - 9 * 24 * HOUR_MS + 3 * HOUR_MS,
        window: null,
        estimate: { endsAt: null, verdict: 'none', bytesLeft: 0, bytesPerSecond: 0, because: [] },
      },
      { landed: 2, moving: 0, failed: 0, held: 0, waiting: 0 },
    ),
    makeRun(
      {
        id: 'weekend-0',
        wave: 'weekend',
        status: 'partial',
        troubled: 1,
        createdAt: NOW - 8 * 24 * HOUR_MS,
        endedAt: NOW - 7 * 24 * HOUR_MS + 3 * HOUR_MS,
        archivedAt: NOW - 6 * 24 * HOUR_MS,
        window: {
          opensAt: NOW - 7 * 24 * HOUR_MS - 2 * HOUR_MS,
          closesAt: NOW - 7 * 24 * HOUR_MS + 4 * HOUR_MS,
          rollbackBy: NOW - 7 * 24 * HOUR_MS + 3 * HOUR_MS,
          timezone: 'Europe/Berlin',
        },
        estimate: { endsAt: null, verdict: 'none', bytesLeft: 0, bytesPerSecond: 0, because: [] },
      },
      { landed: 40, moving: 0, failed: 0, held: 0, waiting: 0, 'rolled-back': 1 },
    ),
  ];
}

const GROUPS = ['databases', 'middleware', 'shops', 'offices'] as const;

export function makeMachine(position: number, differs: Partial<MachineLine> = {}): MachineLine {
  const group = GROUPS[Math.floor(position / 4) % GROUPS.length] ?? null;
  const totalBytes = (20 + ((position * 37) % 180)) * GIB;
  return {
    name: `${(group ?? 'vm').slice(0, -1)}-${String(position + 1).padStart(3, '0')}`,
    position,
    group,
    after: group === null ? [] : afterOf(group),
    status: 'waiting',
    stages: stagesUpTo(0),
    doneBytes: 0,
    totalBytes,
    zeroBytes: totalBytes * 0.4,
    bytesPerSecond: 0,
    etaMs: null,
    note: '',
    error: null,
    isTroubled: false,
    landing: null,
    committedAt: null,
    startedAt: null,
    endedAt: null,
    ...differs,
  };
}

/** The stages before this one are done, this one is in that state, the rest is to do. */
export function stagesUpTo(reached: number, state: StageCell['state'] = 'pending', tries = 1): StageCell[] {
  return FLOW.map((stage, index) => ({
    stage,
    state: index < reached ? 'done' : index === reached ? state : 'pending',
    try: index === reached ? tries : 1,
    startedAt: index <= reached ? NOW - (FLOW.length - index) * 10 * MINUTE_MS : null,
    endedAt: index < reached ? NOW - (FLOW.length - index - 1) * 10 * MINUTE_MS : null,
  }));
}

export function makeMachines(amount: number): MachineLine[] {
  return Array.from({ length: amount }, (_, position) => makeMachine(position, fateOf(position)));
}

export function makeDetail(run: RunSummary, machines: MachineLine[]): RunDetail {
  return {
    now: NOW,
    run,
    groups: GROUPS.map((name) => {
      const inside = machines.filter(({ group }) => group === name);
      return {
        name,
        machines: inside.length,
        landed: inside.filter(({ status }) => status === 'landed').length,
        troubled: inside.filter(({ isTroubled }) => isTroubled).length,
        gate: name === 'databases' ? 'The run is held when 2 of this group fail.' : null,
      };
    }),
    machines,
    onFailure: 'hold',
    eventId: '0-0',
  };
}

function afterOf(group: (typeof GROUPS)[number]): string[] {
  return group === 'databases' ? [] : group === 'middleware' ? ['databases'] : ['middleware'];
}

function fateOf(position: number): Partial<MachineLine> {
  const totalBytes = (20 + ((position * 37) % 180)) * GIB;
  const kind = (position * 7) % 20;
  if (position === 5) {
    return {
      name: '<img src=x onerror=alert(1)>.example "quoted" & long '.repeat(2).trim(),
      status: 'failed',
      isTroubled: true,
      stages: stagesUpTo(3, 'failed', 3),
      doneBytes: totalBytes * 0.3,
      error: { code: 'TARGET_DENIED', message: 'denied', retryable: false },
      note: 'Upload of disk 0 stopped at 1.2 GiB of 40 GiB: the bucket acme-mig denied PutObject. Grant s3:PutObject to arn:aws:iam::1:role/landfall and run `landfall retry weekend-1`.',
    };
  }
  if (kind === 13) {
    return {
      status: 'held',
      isTroubled: true,
      stages: stagesUpTo(5, 'failed', 2),
      doneBytes: totalBytes,
      error: { code: 'PROOF_FAILED', message: 'no answer on port 443', retryable: true },
      note: 'https://10.0.3.7/health did not answer within 5 min after the boot.',
    };
  }
  if (kind < 7) {
    return {
      status: 'landed',
      stages: stagesUpTo(7),
      doneBytes: totalBytes,
      landing: `i-0${(position * 7919).toString(16).padStart(8, '0')}`,
      note: `i-0${(position * 7919).toString(16).padStart(8, '0')}`,
      startedAt: NOW - 3 * HOUR_MS,
      endedAt: NOW - HOUR_MS,
    };
  }
  if (kind < 15) {
    const share = ((position * 13) % 97) / 100;
    return {
      status: 'moving',
      stages: stagesUpTo(3, kind === 9 ? 'waiting' : 'active', kind === 9 ? 2 : 1),
      doneBytes: totalBytes * share,
      bytesPerSecond: (20 + (position % 60)) * 1024 ** 2,
      etaMs: ((totalBytes * (1 - share)) / ((20 + (position % 60)) * 1024 ** 2)) * 1000,
      note: kind === 9 ? 'try 2 in 40 s: The connection to s3.eu-central-1.amazonaws.com was reset.' : '',
      startedAt: NOW - HOUR_MS,
    };
  }
  if (kind < 17) {
    return {
      status: 'moving',
      stages: stagesUpTo(4, 'active'),
      doneBytes: totalBytes,
      note: 'import task import-ami-07 at 44 %',
    };
  }
  return kind === 17 ? { status: 'blocked', note: 'after databases' } : {};
}
