/** Every Redis key of Landfall. One hash tag keeps all keys on one node of a cluster (facts: BullMQ needs it too). */
export const PREFIX = '{landfall}';

const run = (id: string): string => `${PREFIX}:run:${id}`;

export const keys = {
  /** Sorted set of run ids by creation time. */
  runs: `${PREFIX}:runs`,
  /** Hash: wave name → its unarchived run. */
  waves: `${PREFIX}:waves`,
  /** Hash: machine identity → the live run that holds it. */
  claims: `${PREFIX}:claims`,
  /** Counter that hands out fencing tokens. */
  fence: `${PREFIX}:fence`,
  /** Sorted set of worker ids by last heartbeat. */
  workers: `${PREFIX}:workers`,
  worker: (id: string) => `${PREFIX}:worker:${id}`,
  /** Hash: metric with its labels → what all runs came to. */
  metricTotals: `${PREFIX}:metric-totals`,
  /** Hash: run → how far it is in these totals. */
  metricCursors: `${PREFIX}:metric-cursors`,
  /** Hash {json, endsAt, idleMs}: what belongs to whoever holds the secret of this digest. */
  secret: (kind: string, digest: string) => `${PREFIX}:secret:${kind}:${digest}`,
  /** Hash: `paused QUEUE` and `concurrency QUEUE` → what operators said of that pool. */
  poolSettings: `${PREFIX}:pool-settings`,
  /** Stream of what operators did that is of no run. */
  audit: `${PREFIX}:audit`,
  /** Pub/sub channel of signals to workers. */
  signals: `${PREFIX}:signals`,
  /** Hash: JSON of [run, machine, holder] → 1. */
  slots: (name: string) => `${PREFIX}:slots:${name}`,
  /** Set of the names of slots that were ever claimed. */
  slotNames: `${PREFIX}:slot-names`,
  lease: (of: { run: string; machine: string; step: string }) =>
    `${PREFIX}:lease:${of.run}:${encodeURIComponent(of.machine)}:${of.step}`,
  /** Hash {version, mark, json}: another mark with every change. */
  run,
  /** Hash {version, mark, status, troubled, json}. */
  machine: (id: string, name: string) => `${run(id)}:machine:${encodeURIComponent(name)}`,
  /** Hash: status → number of machines. */
  counts: (id: string) => `${run(id)}:counts`,
  /** Hash: `machines GROUP`, `landed GROUP`, `troubled GROUP` → number of machines. */
  groups: (id: string) => `${run(id)}:groups`,
  /** Hash: host at the source → its machines on the move. */
  hosts: (id: string) => `${run(id)}:hosts`,
  /** Hash: machine or group → JSON of the names that come after it. */
  dependents: (id: string) => `${run(id)}:dependents`,
  /** Sorted set of waiting machines by position. */
  waiting: (id: string) => `${run(id)}:waiting`,
  /** The same of one host, where hosts are limited; the scripts put this name together themselves. */
  waitingOn: (id: string, host: string) => `${run(id)}:waiting:${host}`,
  /** Stream of events. */
  events: (id: string) => `${run(id)}:events`,
  /** Hash: channel of the wave → how far it has been told. */
  notices: (id: string) => `${run(id)}:notices`,
  /** Hash: `machine step` → progress. */
  progress: (id: string) => `${run(id)}:progress`,
  /** Sorted set of what it moved in each 10 s, by when these began. */
  throughput: (id: string) => `${run(id)}:throughput`,
  /** Hash {landing, text, length, totalChars, screenshot}: what a landing that boots shows, for a while. */
  console: (id: string, machine: string) => `${run(id)}:console:${encodeURIComponent(machine)}`,
  /** Hash: `thing generation` → entry. */
  ledger: (id: string, machine: string) => `${run(id)}:ledger:${encodeURIComponent(machine)}`,
  /** Hash: thing → newest generation. */
  ledgerHeads: (id: string, machine: string) => `${run(id)}:ledger-heads:${encodeURIComponent(machine)}`,
  /** Hash: key → value. */
  checkpoints: (id: string, machine: string) => `${run(id)}:checkpoints:${encodeURIComponent(machine)}`,
  /** String: bytes per second or `none`; `run:ID` or `host:NAME`. */
  bandwidthLimit: (scope: string) => `${PREFIX}:bandwidth-limit:${scope}`,
  /** Hash {level, at}: the token bucket of the same. */
  bandwidthBucket: (scope: string) => `${PREFIX}:bandwidth-bucket:${scope}`,
} as const;
