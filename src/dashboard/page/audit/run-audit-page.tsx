/** Who did what to a run, and what came of it. */
import { Link } from 'wouter';
import { PageHead } from '../components/page-head.tsx';
import { useEvents } from '../data/use-events.ts';
import { useLive } from '../data/use-live.ts';
import { EventsPanel } from '../events/events-panel.tsx';
import { useBanner } from '../shell/link-banner.tsx';

export default function RunAuditPage({ run }: { run: string }) {
  const live = useLive(run);
  useBanner(live);
  const list = useEvents({ run, kind: 'audit' });
  return (
    <>
      <PageHead
        title={`Audit trail of ${run}`}
        trail={
          <>
            <Link href="/">Runs</Link> / <Link href={`/runs/${encodeURIComponent(run)}`}>{run}</Link>
          </>
        }
      />
      <EventsPanel
        title="Who did what, and what came of it"
        list={list}
        zone={live.run?.window?.timezone ?? null}
      />
    </>
  );
}
