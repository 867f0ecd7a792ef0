/** Who works: the pools with what waits in them, and the processes on their hosts. */
import { Loading } from '../components/loading.tsx';
import { Notice, ProblemNotice } from '../components/notice.tsx';
import { PageHead } from '../components/page-head.tsx';
import { Panel } from '../components/panel.tsx';
import { api } from '../data/api.ts';
import { setServerNow } from '../data/clock.ts';
import { useResource } from '../data/use-resource.ts';
import { groupByHost } from '../view/pools.ts';
import { count } from '../view/sizes.ts';
import { HostCard } from './host-card.tsx';
import { PoolTable } from './pool-table.tsx';
import styles from './workers-page.module.css';

const EVERY_MS = 2000;

export default function WorkersPage() {
  const { value, problem, reload } = useResource('workers', loadWorkers, { everyMs: EVERY_MS });
  if (value === null) {
    return (
      <>
        <PageHead title="Workers" />
        {problem === null ? (
          <Loading what="Asking who works …" />
        ) : (
          <ProblemNotice what="The workers cannot be shown." problem={problem} />
        )}
      </>
    );
  }
  const hosts = groupByHost(value.workers);
  const paused = value.pools.filter(({ isPaused }) => isPaused).length;
  // As the table below counts: what workers tell with their heartbeats is some seconds old.
  const jobs = value.pools.reduce((sum, { active }) => sum + active, 0);
  const title = `${count(value.workers.length, 'worker')} on ${count(hosts.length, 'host')}, ${count(jobs, 'step')} at work${paused === 0 ? '' : `, ${count(paused, 'pool')} paused`}`;
  return (
    <>
      <PageHead title={title} tabTitle="Workers" aside={<a href="/queues">The queues, job by job</a>} />
      {problem !== null && <ProblemNotice what="What is shown may be old." problem={problem} />}
      {value.workers.length === 0 && (
        <Notice tone="bad" title="Nobody works: no step of any run goes on.">
          <p>
            <code>landfall up</code> starts a worker for everything on this machine,{' '}
            <code>landfall worker</code> one where the disks are.
          </p>
        </Notice>
      )}
      <Panel title="Pools" isFlush>
        <PoolTable pools={value.pools} onChanged={reload} />
      </Panel>
      <section aria-label="Hosts" className={styles.hosts}>
        {hosts.map((host) => (
          <HostCard key={host.host} host={host} />
        ))}
      </section>
    </>
  );
}

async function loadWorkers(signal: AbortSignal) {
  const workers = await api.workers(signal);
  setServerNow(workers.now);
  return workers;
}
