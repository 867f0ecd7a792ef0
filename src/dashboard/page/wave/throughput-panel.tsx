import type { RunSummary } from '../../api/run.ts';
import { Panel } from '../components/panel.tsx';
import { api } from '../data/api.ts';
import { useResource } from '../data/use-resource.ts';
import { isOver } from '../status/words.ts';
import { formatRate } from '../view/sizes.ts';
import { sayThroughput } from '../view/throughput.ts';
import styles from './throughput.module.css';
import { ThroughputChart } from './throughput-chart.tsx';

/** As often as there is a new sample. */
const EVERY_MS = 10_000;

export function ThroughputPanel({ run }: { run: RunSummary }) {
  const { value, problem } = useResource(`throughput ${run.id}`, (signal) => api.throughput(run.id, signal), {
    everyMs: isOver(run) ? undefined : EVERY_MS,
  });
  const text = value === null ? '' : sayThroughput(value);
  return (
    <Panel title="Throughput" aside={!isOver(run) && <strong>{formatRate(run.bytesPerSecond)} now</strong>}>
      {value === null && problem !== null && <p className={styles.text}>{problem.message}</p>}
      {value !== null && (
        <figure className={styles.figure}>
          {value.samples.length > 1 && (
            <>
              <ThroughputChart throughput={value} zone={run.window?.timezone ?? null} />
              <p className={styles.legend} aria-hidden="true">
                <span className={styles.rate}>rate of all workers together</span>
                {value.samples.some(({ limitBytesPerSecond }) => limitBytesPerSecond !== null) && (
                  <span className={styles.limit}>limit</span>
                )}
              </p>
            </>
          )}
          <figcaption className={styles.text}>{text}</figcaption>
        </figure>
      )}
    </Panel>
  );
}
