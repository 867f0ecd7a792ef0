/** The steps with each of their tries on a line of time. The words beside it say the same. */
import type { ShownEvent } from '../../api/machine.ts';
import { LongText } from '../components/long-text.tsx';
import { Moment } from '../components/moment.tsx';
import { Panel } from '../components/panel.tsx';
import { Tooltip } from '../components/tooltip.tsx';
import { useNow } from '../data/clock.ts';
import { useMedia } from '../data/use-media.ts';
import { SignShape } from '../status/sign-shape.tsx';
import { STAGE_SIGNS, type StageState } from '../status/words.ts';
import { extentOf, type GanttRow, rowsOf, type StepShown, type TryBar, ticksOf } from '../view/gantt.ts';
import { formatDuration } from '../view/sizes.ts';
import styles from './timeline-panel.module.css';

type Extent = { from: number; to: number };

export function TimelinePanel(props: {
  steps: readonly StepShown[];
  events: readonly ShownEvent[];
  zone: string | null;
}) {
  const { steps, events, zone } = props;
  const now = useNow();
  const isNarrow = useMedia('(max-width: 46rem)');
  const rows = rowsOf(steps, events, now);
  const extent = extentOf(rows, now);
  const failures = rows.flatMap(({ key, name, bars }) =>
    bars.flatMap((bar) => (bar.state === 'failed' ? [{ key, name, bar }] : [])),
  );
  if (rows.length === 0) {
    return (
      <Panel title="Steps">
        <p className={styles.none}>No step is planned yet.</p>
      </Panel>
    );
  }
  return (
    <Panel title="Steps" aside={extent !== null && <Began extent={extent} zone={zone} />}>
      <table className={styles.table}>
        <caption className={styles.hidden}>
          Steps of the machine with their tries. The bars show what the last column says.
        </caption>
        <thead>
          <tr>
            <th scope="col" className={styles.step}>
              Step
            </th>
            <th scope="col" className={styles.chart}>
              {extent !== null && <Axis extent={extent} most={isNarrow ? 2 : 6} />}
              <span className={styles.hidden}>Tries over time</span>
            </th>
            <th scope="col" className={styles.words}>
              How it went
            </th>
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <StepRow key={row.key} row={row} extent={extent} now={now} />
          ))}
        </tbody>
      </table>
      {failures.length > 0 && (
        <details className={styles.failures}>
          <summary>Tries that failed ({failures.length})</summary>
          <ol>
            {failures.map(({ key, name, bar }) => (
              <li key={`${key} ${bar.from}`}>
                <span className={styles.failure}>
                  <SignShape shape="cross" tone="bad" /> {name}, try {bar.try}
                </span>
                , <Moment at={bar.to ?? bar.from} zone={zone} style="seconds" isShort />
                {bar.error !== null && (
                  <>
                    : <LongText text={bar.error} />
                  </>
                )}
              </li>
            ))}
          </ol>
        </details>
      )}
    </Panel>
  );
}

function StepRow({ row, extent, now }: { row: GanttRow; extent: Extent | null; now: number }) {
  const { name, bars, words, step } = row;
  const sign = STAGE_SIGNS[stateOf(step, now)];
  return (
    <tr data-state={step.state}>
      <th scope="row" className={styles.step}>
        <SignShape shape={sign.shape} tone={sign.tone} /> {name}
      </th>
      <td className={styles.chart}>
        <span className={styles.track}>
          {extent !== null &&
            bars.map((bar) => (
              <TryMark key={`${bar.from} ${bar.state}`} bar={bar} extent={extent} now={now} name={name} />
            ))}
        </span>
      </td>
      <td className={styles.words} data-tone={sign.tone}>
        {words}
      </td>
    </tr>
  );
}

function TryMark({ bar, extent, now, name }: { bar: TryBar; extent: Extent; now: number; name: string }) {
  const length = extent.to - extent.from;
  const to = Math.min(bar.to ?? now, extent.to);
  const left = ((bar.from - extent.from) / length) * 100;
  const width = ((to - bar.from) / length) * 100;
  return (
    <Tooltip
      text={`${name}, try ${bar.try}: ${WORDS[bar.state]}, ${formatDuration(to - bar.from)}${bar.error === null ? '' : `. ${bar.error.split('\n')[0]}`}`}
    >
      <span
        className={styles.bar}
        data-state={bar.state}
        style={{ left: `${left}%`, width: `${Math.max(0, width)}%` }}
      >
        {bar.state === 'failed' && <span className={styles.cross}>×</span>}
      </span>
    </Tooltip>
  );
}

const WORDS: Readonly<Record<TryBar['state'], string>> = {
  done: 'done',
  failed: 'failed',
  active: 'at work',
  waiting: 'waits to be tried again',
};

function Axis({ extent, most }: { extent: Extent; most: number }) {
  return (
    <span className={styles.axis} aria-hidden="true">
      {ticksOf(extent, most).map((at) => (
        <span key={at} style={{ left: `${((at - extent.from) / (extent.to - extent.from)) * 100}%` }}>
          {at === extent.from ? '0' : formatDuration(at - extent.from)}
        </span>
      ))}
    </span>
  );
}

function Began({ extent, zone }: { extent: Extent; zone: string | null }) {
  return (
    <span>
      from <Moment at={extent.from} zone={zone} isShort /> on
    </span>
  );
}

function stateOf({ state, notBefore }: StepShown, now: number): StageState {
  return state === 'active' && notBefore !== null && notBefore > now ? 'waiting' : state;
}
