/** Who did what that is of no run: pools, logins. */
import { useState } from 'react';
import type { AuditList } from '../../api/audit.ts';
import { Button } from '../components/button.tsx';
import { Loading } from '../components/loading.tsx';
import { Moment } from '../components/moment.tsx';
import { ProblemNotice } from '../components/notice.tsx';
import { PageHead } from '../components/page-head.tsx';
import { Panel } from '../components/panel.tsx';
import { Scroller } from '../components/scroller.tsx';
import { TextField } from '../components/text-field.tsx';
import { api } from '../data/api.ts';
import { useResource } from '../data/use-resource.ts';
import styles from './audit.module.css';

const EVERY_MS = 10_000;

export default function FleetAuditPage() {
  const { value, problem } = useResource('audit', (signal) => api.audit({}, signal), { everyMs: EVERY_MS });
  const [earlier, setEarlier] = useState<AuditList | null>(null);
  const [moreProblem, setMoreProblem] = useState<Error | null>(null);
  const [search, setSearch] = useState('');
  const known = new Map(
    [...(earlier?.entries ?? []), ...(value?.entries ?? [])].map((entry) => [entry.id, entry]),
  );
  const entries = [...known.values()];
  const words = search
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== '');
  const rows = entries
    .filter(({ by, action, reason }) =>
      words.every((word) => `${by} ${action} ${reason ?? ''}`.toLowerCase().includes(word)),
    )
    .toReversed();
  const hasMore = earlier?.hasMore ?? value?.hasMore ?? false;
  const loadMore = async (): Promise<void> => {
    const [oldest] = entries;
    if (oldest === undefined) return;
    try {
      const more = await api.audit({ before: oldest.id });
      setEarlier({ entries: [...more.entries, ...(earlier?.entries ?? [])], hasMore: more.hasMore });
      setMoreProblem(null);
    } catch (error) {
      setMoreProblem(error instanceof Error ? error : new Error(String(error)));
    }
  };
  const failure = problem ?? moreProblem;
  return (
    <>
      <PageHead title="Audit trail" />
      <Panel
        title="What is of no run: pools and logins"
        aside={
          <TextField
            label="Search the trail"
            isLabelHidden
            type="search"
            placeholder="Search …"
            value={search}
            onChange={setSearch}
          />
        }
      >
        <p className={styles.hint}>What was done to a run is in its own trail, a link on its page.</p>
        {failure !== null && <ProblemNotice what="The audit trail cannot be shown." problem={failure} />}
        {value === null && failure === null && <Loading what="Fetching the audit trail …" />}
        {value !== null && rows.length === 0 && <p className={styles.hint}>Nothing is like that.</p>}
        {rows.length > 0 && (
          <Scroller className={styles.scroller} label="Audit trail; it scrolls">
            <table className={styles.table}>
              <caption>Who did what, newest first</caption>
              <thead>
                <tr>
                  <th scope="col">When</th>
                  <th scope="col">Who</th>
                  <th scope="col">What</th>
                  <th scope="col">Why</th>
                </tr>
              </thead>
              <tbody>
                {rows.map(({ id, at, by, action, reason }) => (
                  <tr key={id}>
                    <td className={styles.when}>
                      <Moment at={at} zone={null} />
                    </td>
                    <th scope="row">{by}</th>
                    <td>{action}</td>
                    <td>{reason ?? '–'}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </Scroller>
        )}
        {hasMore && <Button onClick={() => void loadMore()}>Fetch earlier ones</Button>}
      </Panel>
    </>
  );
}
