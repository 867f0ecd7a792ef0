/** Every metric of Landfall: what docs/dashboard.md and docs/grafana-dashboard.json may name. */

type Metric = {
  type: 'counter' | 'gauge' | 'histogram';
  help: string;
  labels: readonly string[];
  /** Of a histogram: upper bounds in seconds. */
  buckets?: readonly number[];
};

const MINUTE = 60;
const HOUR = 3_600;

export const METRICS = {
  landfall_redis_up: {
    type: 'gauge',
    help: 'Does Redis answer? While it does not (0), nothing else is told of runs.',
    labels: [],
  },
  landfall_runs: { type: 'gauge', help: 'Runs that are not archived.', labels: ['status'] },
  landfall_machines: {
    type: 'gauge',
    help: 'Machines of runs that are not archived.',
    labels: ['run', 'wave', 'status'],
  },
  landfall_run_window_closes_timestamp_seconds: {
    type: 'gauge',
    help: 'When the window of a run closes that has not ended.',
    labels: ['run', 'wave'],
  },
  landfall_upload_bytes_per_second: {
    type: 'gauge',
    help: 'What all workers together send for a run, over the last ten seconds that are known.',
    labels: ['run', 'wave'],
  },
  landfall_upload_limit_bytes_per_second: {
    type: 'gauge',
    help: 'The bandwidth limit of a run that was in force then; missing where there is none.',
    labels: ['run', 'wave'],
  },
  landfall_queue_jobs: {
    type: 'gauge',
    help: 'Jobs of a pool that wait, are worked on, or are due later.',
    labels: ['pool', 'site', 'state'],
  },
  landfall_workers: { type: 'gauge', help: 'Processes that work or schedule.', labels: ['site'] },
  landfall_pool_slots: {
    type: 'gauge',
    help: 'Steps that all live workers can do at once.',
    labels: ['pool', 'site'],
  },
  landfall_pool_paused: {
    type: 'gauge',
    help: 'Has an operator paused the pool (1)?',
    labels: ['pool', 'site'],
  },
  landfall_uploaded_bytes_total: {
    type: 'counter',
    help: 'Bytes of disks that were sent to targets, zeros left out.',
    labels: [],
  },
  landfall_step_retries_total: {
    type: 'counter',
    help: 'Tries of a step that failed and were followed by another.',
    labels: ['stage', 'code'],
  },
  landfall_step_failures_total: {
    type: 'counter',
    help: 'Steps that failed for good.',
    labels: ['stage', 'code'],
  },
  landfall_machine_outcomes_total: {
    type: 'counter',
    help: 'How often a machine came to rest, by how.',
    labels: ['status'],
  },
  landfall_operator_actions_total: {
    type: 'counter',
    help: 'What operators did in runs.',
    labels: ['action'],
  },
  landfall_step_duration_seconds: {
    type: 'histogram',
    help: 'From the first start of a step to its end, with all its tries.',
    labels: ['stage'],
    buckets: [
      1,
      5,
      15,
      30,
      MINUTE,
      2 * MINUTE,
      5 * MINUTE,
      10 * MINUTE,
      20 * MINUTE,
      30 * MINUTE,
      HOUR,
      2 * HOUR,
      4 * HOUR,
      8 * HOUR,
    ],
  },
  landfall_downtime_seconds: {
    type: 'histogram',
    help: 'From the moment at which a source was off until its machine had landed.',
    labels: [],
    buckets: [
      30,
      MINUTE,
      2 * MINUTE,
      5 * MINUTE,
      10 * MINUTE,
      15 * MINUTE,
      30 * MINUTE,
      HOUR,
      2 * HOUR,
      4 * HOUR,
      8 * HOUR,
    ],
  },
} as const satisfies Record<string, Metric>;

export type MetricName = keyof typeof METRICS;
export type MetricOf<Type extends Metric['type']> = {
  [Name in MetricName]: (typeof METRICS)[Name]['type'] extends Type ? Name : never;
}[MetricName];
