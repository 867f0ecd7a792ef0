/** The first screen: what runs, what is in trouble, whether it makes its window; the calendar; what was. */
import { useState } from 'react';
import type { RunSummary } from '../../api/run.ts';
import { Button } from '../components/button.tsx';
import { Loading } from '../components/loading.tsx';
import { ProblemNotice } from '../components/notice.tsx';
import { PageHead } from '../components/page-head.tsx';
import { Panel } from '../components/panel.tsx';
import { api } from '../data/api.ts';
import { useNow } from '../data/clock.ts';
import { useLive } from '../data/use-live.ts';
import { useResource } from '../data/use-resource.ts';
import { useBanner } from '../shell/link-banner.tsx';
import { groupRuns, type RunGroups, sayOverview } from '../view/run-order.ts';
import { Calendar } from './calendar.tsx';
import { RunCard } from './run-card.tsx';
import { RunTable } from './run-table.tsx';
import styles from './runs-page.module.css';

const PAST_SHOWN = 25;

export function RunsPage() {
  const live = useLive(null);
  useBanner(live);
  const now = useNow();
  // The first picture comes by a request of its own: it does not wait for the stream.
  const first = useResource('runs', api.runs);
  const runs = live.runs ?? first.value?.runs ?? null;
  if (runs === null) {
    return (
      <>
        <PageHead title="Runs" />
        {first.problem === null || live.health?.redis === 'away' ? (
          <Loading what={live.health?.redis === 'away' ? 'Waiting for Redis …' : 'Fetching the runs …'} />
        ) : (
          <ProblemNotice what="The runs cannot be shown." problem={first.problem} />
        )}
      </>
    );
  }
  const groups = groupRuns(runs, now);
  return (
    <>
      <PageHead title={sayOverview(groups, now)} tabTitle={tabTitleOf(groups)} />
      {groups.live.length > 0 && (
        <section className={styles.live} aria-label="Live runs">
          {groups.live.map((run) => (
            <RunCard key={run.id} run={run} now={now} />
          ))}
        </section>
      )}
      {runs.length === 0 ? (
        <p>
          There is no run yet. <code>landfall run WAVE</code> starts one; it shows here at once.
        </p>
      ) : (
        <Calendar groups={groups} now={now} />
      )}
      {groups.coming.length > 0 && (
        <Panel title="To come">
          <RunTable
            caption="Runs whose window opens later, the soonest first"
            runs={groups.coming}
            now={now}
          />
        </Panel>
      )}
      {groups.past.length > 0 && (
        <Panel title="Past">
          <PastRuns runs={groups.past} now={now} />
        </Panel>
      )}
    </>
  );
}

/** Years of runs are not drawn each second. */
function PastRuns({ runs, now }: { runs: readonly RunSummary[]; now: number }) {
  const [isWhole, setIsWhole] = useState(false);
  const shown = isWhole ? runs : runs.slice(0, PAST_SHOWN);
  return (
    <>
      <RunTable caption="Runs that are over, the latest first" runs={shown} now={now} />
      {shown.length < runs.length && <Button onClick={() => setIsWhole(true)}>Show all {runs.length}</Button>}
    </>
  );
}

/** A tab among many says whether it is to be looked at. */
function tabTitleOf({ live }: RunGroups): string {
  const troubled = live.reduce((sum, run) => sum + run.troubled, 0);
  return troubled === 0 ? 'Runs' : `(${troubled} in trouble) Runs`;
}
