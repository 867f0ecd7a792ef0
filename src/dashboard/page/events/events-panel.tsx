/** What happened, newest first, with a filter. */
import { useDeferredValue, useMemo, useState } from 'react';
import { Button } from '../components/button.tsx';
import { Loading } from '../components/loading.tsx';
import { ProblemNotice } from '../components/notice.tsx';
import { Panel } from '../components/panel.tsx';
import { Select } from '../components/select.tsx';
import { TextField } from '../components/text-field.tsx';
import type { EventList } from '../data/use-events.ts';
import { type EventKind, listEvents } from '../view/event-filter.ts';
import { count } from '../view/sizes.ts';
import { EventRow } from './event-row.tsx';
import styles from './events-panel.module.css';

const KINDS = [
  { value: 'all', text: 'Everything' },
  { value: 'trouble', text: 'Trouble' },
  { value: 'steps', text: 'Steps and states' },
  { value: 'logs', text: 'Logs' },
  { value: 'operators', text: 'Operators' },
] as const satisfies readonly { value: EventKind; text: string }[];
/** So many at once in the document. */
const SHOWN_AT_ONCE = 150;

export function EventsPanel({
  list,
  zone,
  title = 'Events and logs',
  about = null,
}: {
  list: EventList;
  zone: string | null;
  title?: string;
  /** The machine that all of them are about. */
  about?: string | null;
}) {
  const [kind, setKind] = useState<EventKind>('all');
  const [search, setSearch] = useState('');
  const [most, setMost] = useState(SHOWN_AT_ONCE);
  const wanted = useDeferredValue(search);
  const { events, problem, hasMore, isLoadingMore, loadMore } = list;
  const rows = useMemo(
    () => (events === null ? null : listEvents(events, { kind, search: wanted })),
    [events, kind, wanted],
  );
  const hidden = rows === null ? 0 : Math.max(0, rows.length - most);
  return (
    <Panel
      title={title}
      aside={
        rows !== null && (
          <span role="status">
            {count(rows.length, 'event')}
            {hasMore ? ', more on demand' : ''}
          </span>
        )
      }
    >
      <search className={styles.toolbar}>
        <Select label="Show" value={kind} options={KINDS} onChange={setKind} />
        <TextField
          label="Search events"
          isLabelHidden
          type="search"
          placeholder="Search …"
          value={search}
          onChange={setSearch}
        />
      </search>
      {problem !== null && <ProblemNotice what="The events cannot be shown." problem={problem} />}
      {rows === null && problem === null && <Loading what="Fetching the events …" />}
      {rows !== null && (
        <ol className={styles.list} aria-label={`${title}, newest first`}>
          {rows.slice(0, most).map((event) => (
            <EventRow key={event.id} event={event} zone={zone} about={about} />
          ))}
        </ol>
      )}
      {rows?.length === 0 && <p className={styles.none}>Nothing is like that.</p>}
      <div className={styles.more}>
        {hidden > 0 && (
          <Button onClick={() => setMost(most + SHOWN_AT_ONCE)}>Show more of these ({hidden} left)</Button>
        )}
        {hidden === 0 && hasMore && (
          <Button onClick={loadMore} aria-disabled={isLoadingMore}>
            {isLoadingMore ? 'Fetching …' : 'Fetch earlier ones'}
          </Button>
        )}
      </div>
    </Panel>
  );
}
