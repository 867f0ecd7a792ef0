/** What a part of a run's history adds to the totals. Pure. Totals are whole numbers: durations in milliseconds. */
import type { StoredEvent } from '../../domain/events.ts';
import { isAtRest, type MachineRecord } from '../../domain/machine-record.ts';
import { METRICS, type MetricOf } from './catalogue.ts';

export type Totalled = MetricOf<'counter' | 'histogram'>;

/** A field of the totals: a counter with its labels, or one of the three things that a histogram is made of. */
export type Field = {
  metric: Totalled;
  labels: readonly string[];
  part: 'count' | 'ms' | { upTo: number } | null;
};

export function fieldName({ metric, labels, part }: Field): string {
  return JSON.stringify([metric, part === null || typeof part === 'string' ? part : part.upTo, ...labels]);
}

/** null: of another version, which counted something else. */
export function parseField(text: string): Field | null {
  const [metric, part, ...labels] = JSON.parse(text) as [string, string | number | null, ...string[]];
  if (!Object.hasOwn(METRICS, metric)) return null;
  const known = part === null || part === 'count' || part === 'ms';
  return {
    metric: metric as Totalled,
    labels,
    part: known ? part : { upTo: Number(part) },
  };
}

/** The machines whose records `amountsOf` asks for. */
export function machinesAskedFor(events: readonly StoredEvent[]): string[] {
  return [...new Set(events.flatMap((event) => (isMeasured(event) ? [event.machine] : [])))];
}

/** `records`: as they are now. What somebody did anew since is measured when it ends again. */
export function amountsOf(
  events: readonly StoredEvent[],
  records: ReadonlyMap<string, MachineRecord>,
): Map<string, number> {
  const amounts = new Map<string, number>();
  const add = (field: Field, amount: number): void => {
    const name = fieldName(field);
    amounts.set(name, (amounts.get(name) ?? 0) + amount);
  };
  const count = (metric: MetricOf<'counter'>, ...labels: string[]): void =>
    add({ metric, labels, part: null }, 1);
  const observe = (metric: MetricOf<'histogram'>, labels: string[], durationMs: number): void => {
    const upTo = METRICS[metric].buckets.find((bound) => durationMs <= bound * 1000);
    // What is above all bounds is in the count only.
    if (upTo !== undefined) add({ metric, labels, part: { upTo } }, 1);
    add({ metric, labels, part: 'count' }, 1);
    add({ metric, labels, part: 'ms' }, durationMs);
  };

  for (const event of events) {
    switch (event.type) {
      case 'step': {
        const stage = stageOf(event.step);
        const code = event.error?.code ?? 'unknown';
        if (event.state === 'retrying') count('landfall_step_retries_total', stage, code);
        if (event.state === 'failed') count('landfall_step_failures_total', stage, code);
        const durationMs = event.state === 'done' ? stepMs(records.get(event.machine), event.step) : null;
        if (durationMs !== null) observe('landfall_step_duration_seconds', [stage], durationMs);
        break;
      }
      case 'machine': {
        if (isAtRest(event.status)) count('landfall_machine_outcomes_total', event.status);
        const offMs = event.status === 'landed' ? downtimeMs(records.get(event.machine)) : null;
        if (offMs !== null) observe('landfall_downtime_seconds', [], offMs);
        break;
      }
      case 'operator':
        // `limit 50 MB/s` is of limit: each value of a label is a series for ever.
        count('landfall_operator_actions_total', event.action.split(' ')[0] ?? '');
        break;
      case 'run':
      case 'log':
      case 'remark':
        break;
      default:
        event satisfies never;
    }
  }
  return amounts;
}

function isMeasured(event: StoredEvent): event is StoredEvent & { machine: string } {
  return (
    (event.type === 'step' && event.state === 'done') ||
    (event.type === 'machine' && event.status === 'landed')
  );
}

function stepMs(record: MachineRecord | undefined, key: string): number | null {
  const step = record?.steps[key];
  if (step?.state !== 'done' || step.startedAt === null || step.endedAt === null) return null;
  return Math.max(0, step.endedAt - step.startedAt);
}

/** A source that Landfall does not turn off is not down by our doing: null. */
function downtimeMs(record: MachineRecord | undefined): number | null {
  const offAt = record?.steps.shutdown?.endedAt ?? null;
  if (record?.status !== 'landed' || record.endedAt === null || offAt === null) return null;
  return Math.max(0, record.endedAt - offAt);
}

/** `upload/0@1` is of upload. */
function stageOf(step: string): string {
  return /^[a-z]+/.exec(step)?.[0] ?? step;
}
