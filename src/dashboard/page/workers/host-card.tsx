import { Link } from 'wouter';
import { Panel } from '../components/panel.tsx';
import { useNow } from '../data/clock.ts';
import { SignLabel } from '../status/sign-label.tsx';
import { signOfBeat, signOfLoad, type Worker } from '../view/pools.ts';
import { count, formatBytes, formatDuration } from '../view/sizes.ts';
import styles from './workers-page.module.css';

/** A host with the processes that work on it. */
export function HostCard({
  host,
}: {
  host: { host: string; site: string | null; workers: readonly Worker[] };
}) {
  const load = host.workers.find((worker) => worker.load !== null)?.load ?? null;
  const loadSign = signOfLoad(load);
  return (
    <Panel
      title={host.host}
      aside={
        <>
          {host.site !== null && <span>site {host.site}</span>}
          <SignLabel sign={loadSign} word={`load ${loadSign.word}`} />
        </>
      }
    >
      {host.workers.map((worker) => (
        <WorkerShown key={worker.id} worker={worker} />
      ))}
    </Panel>
  );
}

function WorkerShown({ worker }: { worker: Worker }) {
  const now = useNow();
  const { pid, schedules, beatAt, startedAt, memoryBytes, pools, jobs } = worker;
  const beat = signOfBeat(beatAt, now);
  return (
    <article className={styles.worker} aria-label={`Process ${pid}`}>
      <div className={styles.who}>
        <h3>Process {pid}</h3>
        <SignLabel sign={beat} word={`heard of ${beat.word}`} />
        {schedules && <span>also decides what comes next</span>}
        {startedAt !== null && <span>up for {formatDuration(now - startedAt)}</span>}
        {memoryBytes !== null && <span>{formatBytes(memoryBytes)} of memory</span>}
      </div>
      {pools.length > 0 && (
        <ul className={styles.pools} aria-label="Pools that it serves, with its steps at once">
          {pools.map(({ pool, concurrency }) => (
            <li key={pool}>
              {pool} × {concurrency}
            </li>
          ))}
        </ul>
      )}
      {jobs.length === 0 ? (
        <p className={styles.none}>Nothing to do now.</p>
      ) : (
        <ul className={styles.jobs} aria-label={`${count(jobs.length, 'step')} at work`}>
          {jobs.map((job) => (
            <li key={`${job.run} ${job.machine} ${job.step}`}>
              <span>
                <Link
                  href={`/runs/${encodeURIComponent(job.run)}/machines/${encodeURIComponent(job.machine)}`}
                >
                  {job.machine}
                </Link>{' '}
                {job.step}
                {job.try > 1 && `, try ${job.try}`} <small>of {job.run}</small>
              </span>
              <span>{formatDuration(now - job.since)}</span>
            </li>
          ))}
        </ul>
      )}
    </article>
  );
}
