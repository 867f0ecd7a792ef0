/** What is known, in the form that Prometheus reads. https://prometheus.io/docs/instrumenting/exposition_formats/ */
import { Counter, collectDefaultMetrics, Gauge, type Histogram, Registry } from 'prom-client';
import { isEnded, RUN_STATUSES } from '../../domain/run-record.ts';
import { parseField } from './amounts.ts';
import { METRICS, type MetricName, type MetricOf } from './catalogue.ts';
import type { Standing } from './standing.ts';

export type Facts = {
  standing: Standing;
  /** As the state keeps them. */
  totals: ReadonlyMap<string, number>;
};

export type Metrics = {
  contentType: string;
  /** null: Redis does not answer. */
  print(facts: Facts | null): Promise<string>;
};

export function createMetrics(): Metrics {
  const registry = new Registry();
  // Event loop lag, memory, garbage collection of this process.
  collectDefaultMetrics({ register: registry });
  return {
    contentType: registry.contentType,
    async print(facts) {
      for (const name of Object.keys(METRICS)) registry.removeSingleMetric(name);
      gauge(registry, 'landfall_redis_up').set(facts === null ? 0 : 1);
      if (facts !== null) {
        setGauges(registry, facts.standing);
        setTotals(registry, facts.totals);
      }
      return registry.metrics();
    },
  };
}

function setGauges(registry: Registry, { runs, workers, pools }: Standing): void {
  const byStatus = gauge(registry, 'landfall_runs');
  for (const status of RUN_STATUSES)
    byStatus.set({ status }, runs.filter(({ run }) => run.status === status).length);

  const machines = gauge(registry, 'landfall_machines');
  const closes = gauge(registry, 'landfall_run_window_closes_timestamp_seconds');
  const rate = gauge(registry, 'landfall_upload_bytes_per_second');
  const limit = gauge(registry, 'landfall_upload_limit_bytes_per_second');
  for (const { run, machines: counts, throughput } of runs) {
    const labels = { run: run.id, wave: run.wave.name };
    for (const [status, count] of Object.entries(counts)) machines.set({ ...labels, status }, count);
    if (isEnded(run.status)) continue;
    if (run.window !== null) closes.set(labels, run.window.closesAt / 1000);
    rate.set(labels, throughput?.bytesPerSecond ?? 0);
    const inForce = throughput?.limitBytesPerSecond ?? null;
    if (inForce !== null) limit.set(labels, inForce);
  }

  const jobs = gauge(registry, 'landfall_queue_jobs');
  const paused = gauge(registry, 'landfall_pool_paused');
  const slots = gauge(registry, 'landfall_pool_slots');
  for (const standing of pools) {
    const labels = { pool: standing.pool, site: standing.site ?? '' };
    for (const state of ['waiting', 'active', 'delayed'] as const)
      jobs.set({ ...labels, state }, standing[state]);
    paused.set(labels, standing.isPaused ? 1 : 0);
    slots.set(labels, standing.slots);
  }

  const processes = gauge(registry, 'landfall_workers');
  for (const { site } of workers) processes.inc({ site: site ?? '' });
}

function setTotals(registry: Registry, totals: ReadonlyMap<string, number>): void {
  const counters = new Map<string, Counter>();
  const histograms = new Map<MetricOf<'histogram'>, Map<string, Observed>>(
    HISTOGRAMS.map((name) => [name, new Map()]),
  );
  for (const name of COUNTERS) counters.set(name, counter(registry, name));
  for (const [text, total] of totals) {
    const field = parseField(text);
    if (field === null) continue;
    const { metric, labels, part } = field;
    if (part === null) {
      counters.get(metric)?.inc(labelled(metric, labels), total);
      continue;
    }
    const series = histograms.get(metric as MetricOf<'histogram'>);
    if (series === undefined) continue;
    const key = JSON.stringify(labels);
    const observed = series.get(key) ?? { labels, count: 0, ms: 0, upTo: new Map() };
    series.set(key, observed);
    if (typeof part === 'string') observed[part] = total;
    else observed.upTo.set(part.upTo, total);
  }
  for (const [name, series] of histograms) registerHistogram(registry, name, [...series.values()]);
}

type Observed = {
  labels: readonly string[];
  count: number;
  ms: number;
  /** By upper bound: what is within it and not within a lower one. */
  upTo: Map<number, number>;
};

/** prom-client's own histogram counts in this process only; what the registry asks of one is to tell its values. */
function registerHistogram(
  registry: Registry,
  name: MetricOf<'histogram'>,
  series: readonly Observed[],
): void {
  const { help, type, buckets } = METRICS[name];
  const values = series.flatMap(({ labels: given, count, ms, upTo }) => {
    const labels = labelled(name, given);
    let below = 0;
    const cumulated = buckets.map((bound) => {
      below += upTo.get(bound) ?? 0;
      return { metricName: `${name}_bucket`, labels: { ...labels, le: bound }, value: below };
    });
    return [
      ...cumulated,
      { metricName: `${name}_bucket`, labels: { ...labels, le: '+Inf' }, value: count },
      { metricName: `${name}_sum`, labels, value: ms / 1000 },
      { metricName: `${name}_count`, labels, value: count },
    ];
  });
  const told = { name, help, type, aggregator: 'sum', values };
  registry.registerMetric({ ...told, get: async () => told } as unknown as Histogram);
}

function gauge(registry: Registry, name: MetricOf<'gauge'>): Gauge {
  const { help, labels } = METRICS[name];
  return new Gauge({ name, help, labelNames: [...labels], registers: [registry] });
}

function counter(registry: Registry, name: MetricOf<'counter'>): Counter {
  const { help, labels } = METRICS[name];
  return new Counter({ name, help, labelNames: [...labels], registers: [registry] });
}

function labelled(metric: MetricName, values: readonly string[]): Record<string, string> {
  return Object.fromEntries(METRICS[metric].labels.map((label, index) => [label, values[index] ?? '']));
}

function namesOf<Type extends 'counter' | 'histogram'>(type: Type): MetricOf<Type>[] {
  return (Object.keys(METRICS) as MetricName[]).filter(
    (name): name is MetricOf<Type> => METRICS[name].type === type,
  );
}

const COUNTERS = namesOf('counter');
const HISTOGRAMS = namesOf('histogram');
