import type { RunSummary } from '../../api/run.ts';
import { Notice } from '../components/notice.tsx';
import { Sentence } from '../components/sentence.tsx';

/** What keeps a run from going on, with the way out. */
export function RunNotices({ run: { hold, standsStill, unserved, approval } }: { run: RunSummary }) {
  const waits = approval !== null && approval.given === null;
  return (
    <>
      {standsStill !== null && (
        <Notice tone="warn" title="No machine starts now.">
          <p>
            <Sentence text={standsStill} />
          </p>
        </Notice>
      )}
      {unserved.map((sentence) => (
        <Notice key={sentence} tone="warn" title="Work waits for workers that are not there.">
          <p>
            <Sentence text={sentence} />
          </p>
        </Notice>
      ))}
      {hold !== null && (
        <Notice
          tone="warn"
          shape="pause"
          title={`Held by ${hold.by}${hold.reason === null ? '.' : `: ${hold.reason}`}`}
        />
      )}
      {waits && (
        <Notice
          tone="warn"
          shape="pause"
          title={`It waits for an approval${approval.byAnother ? ' by somebody other than who planned it' : ''}.`}
        />
      )}
    </>
  );
}
