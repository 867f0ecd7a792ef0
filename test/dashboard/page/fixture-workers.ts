/** Who works and who did what, made up. */
import type { AuditList } from '../../../src/dashboard/api/audit.ts';
import type { Workers } from '../../../src/dashboard/api/workers.ts';
import { MINUTE_MS } from './fixture-run.ts';

export function makeWorkers(
  now: number,
  paused: ReadonlySet<string>,
  concurrency: ReadonlyMap<string, number>,
): Workers {
  const worker = (
    host: string,
    pid: number,
    site: string | null,
    beat: number,
  ): Workers['workers'][number] => ({
    id: `${host}:${pid}`,
    host,
    pid,
    site,
    schedules: pid % 2 === 0,
    beatAt: now - beat,
    startedAt: now - 26 * 60 * MINUTE_MS,
    load: host.startsWith('kvm') ? 1.62 : 0.41,
    memoryBytes: 412 * 1024 ** 2,
    pools: [
      { pool: 'export', concurrency: 4 },
      { pool: 'upload', concurrency: 8 },
    ],
    jobs:
      beat > 60_000
        ? []
        : [
            {
              run: 'weekend-1',
              machine: 'database-002',
              step: 'upload/vda',
              try: 2,
              since: now - 14 * MINUTE_MS,
            },
            { run: 'weekend-1', machine: 'shop-011', step: 'upload/vdb', try: 1, since: now - 3 * MINUTE_MS },
          ],
  });
  const pool = (
    name: Workers['pools'][number]['pool'],
    site: string | null,
    figures: [slots: number, active: number, waiting: number, delayed: number],
  ): Workers['pools'][number] => {
    const key = site === null ? name : `${name}.${site}`;
    const [slots, active, waiting, delayed] = figures;
    return {
      pool: name,
      site,
      isPaused: paused.has(key),
      concurrency: concurrency.get(key) ?? null,
      slots,
      active,
      waiting,
      delayed,
    };
  };
  return {
    now,
    workers: [
      worker('kvm-07.berlin.acme.example', 4711, 'berlin', 2000),
      worker('kvm-07.berlin.acme.example', 4712, 'berlin', 31_000),
      worker('mover-1.acme.example', 90, null, 1000),
      worker('mover-2.acme.example', 93, null, 95_000),
    ],
    pools: [
      pool('export', 'berlin', [8, 2, 0, 0]),
      pool('convert', null, [4, 0, 0, 0]),
      pool('upload', 'berlin', [16, 16, 41, 3]),
      pool('upload', 'new-york', [0, 0, 4, 0]),
      pool('import', null, [4, 3, 0, 22]),
      pool('validate', null, [4, 1, 0, 4]),
      pool('power', null, [2, 0, 0, 0]),
    ],
  };
}

export function makeAudit(now: number): AuditList {
  return {
    entries: [
      {
        id: `${now - 90 * MINUTE_MS}-0`,
        at: now - 90 * MINUTE_MS,
        by: 'ada',
        action: 'login',
        reason: 'as approver by token, from 10.1.2.3',
      },
      {
        id: `${now - 60 * MINUTE_MS}-0`,
        at: now - 60 * MINUTE_MS,
        by: 'unknown',
        action: 'login-refused',
        reason: 'unknown token, from 10.9.9.9',
      },
      {
        id: `${now - 20 * MINUTE_MS}-0`,
        at: now - 20 * MINUTE_MS,
        by: 'bob <i>',
        action: 'pause upload.berlin',
        reason: 'the line is needed for a call',
      },
    ],
    hasMore: false,
  };
}
