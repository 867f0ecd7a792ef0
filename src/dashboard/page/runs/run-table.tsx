import { Link } from 'wouter';
import type { RunSummary } from '../../api/run.ts';
import { Moment } from '../components/moment.tsx';
import { SignLabel } from '../status/sign-label.tsx';
import { SignShape } from '../status/sign-shape.tsx';
import { isOver, RUN_SIGNS } from '../status/words.ts';
import { headlineOf } from '../view/headline.ts';
import { formatBytes, formatDuration } from '../view/sizes.ts';
import styles from './run-table.module.css';

export function RunTable({
  caption,
  runs,
  now,
}: {
  caption: string;
  runs: readonly RunSummary[];
  now: number;
}) {
  return (
    <table className={styles.table}>
      <caption>{caption}</caption>
      <thead>
        <tr>
          <th scope="col">Run</th>
          <th scope="col">State</th>
          <th scope="col">Machines</th>
          <th scope="col" className={styles.wide}>
            Window
          </th>
          <th scope="col" className={styles.wide}>
            Took
          </th>
          <th scope="col" className={styles.wide}>
            Moved
          </th>
        </tr>
      </thead>
      <tbody>
        {runs.map((run) => (
          <RunRow key={run.id} run={run} now={now} />
        ))}
      </tbody>
    </table>
  );
}

function RunRow({ run, now }: { run: RunSummary; now: number }) {
  const { progress, trouble } = headlineOf(run, now);
  return (
    <tr>
      <th scope="row">
        <Link href={`/runs/${encodeURIComponent(run.id)}`}>{run.id}</Link>
        <span className={styles.under}>wave {run.wave}</span>
      </th>
      <td>
        <SignLabel sign={RUN_SIGNS[run.status]} />
        {run.approval?.given === null && !isOver(run) && (
          <span className={styles.under}>waits for approval</span>
        )}
        {run.archivedAt !== null && <span className={styles.under}>archived</span>}
      </td>
      <td>
        {progress.text}
        {trouble !== null && (
          <span className={styles.trouble} data-tone="bad">
            <SignShape shape="cross" tone="bad" /> {trouble.text}
          </span>
        )}
      </td>
      <td className={styles.wide}>
        <WindowCell run={run} />
      </td>
      <td className={styles.wide}>
        {run.endedAt === null ? 'not over' : formatDuration(run.endedAt - run.createdAt)}
      </td>
      <td className={styles.wide}>{run.doneBytes === 0 ? '–' : formatBytes(run.doneBytes)}</td>
    </tr>
  );
}

function WindowCell({ run: { window, createdAt } }: { run: RunSummary }) {
  if (window === null) {
    return (
      <>
        none, started <Moment at={createdAt} zone={null} isShort />
      </>
    );
  }
  const { opensAt, closesAt, timezone } = window;
  return (
    <>
      <Moment at={opensAt} zone={timezone} isShort /> to{' '}
      <Moment at={closesAt} zone={timezone} style="time" isShort />{' '}
      <span className={styles.zone}>{timezone}</span>
    </>
  );
}
