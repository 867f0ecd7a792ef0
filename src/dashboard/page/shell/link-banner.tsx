/** Says when what is shown may be old: the server is gone, or it cannot reach Redis. */
import { useEffect, useState } from 'react';
import { Notice } from '../components/notice.tsx';
import { Sentence } from '../components/sentence.tsx';
import { useNow } from '../data/clock.ts';
import type { LiveState } from '../data/live-state.ts';
import { formatDuration } from '../view/sizes.ts';
import styles from './shell.module.css';

/** A server that restarts is back within that: nothing is said yet. */
const PATIENCE_MS = 2500;

const reporters = new Map<symbol, LiveState>();
const listeners = new Set<() => void>();

/** A page that shows live state hands it here, so that the shell can say when it is old. */
export function useBanner(state: LiveState): void {
  const [key] = useState(() => Symbol('live state'));
  useEffect(() => {
    reporters.set(key, state);
    for (const listener of listeners) listener();
  }, [key, state]);
  useEffect(
    () => () => {
      reporters.delete(key);
      for (const listener of listeners) listener();
    },
    [key],
  );
}

export function LinkBanner() {
  const [state, setState] = useState<LiveState | null>(null);
  useEffect(() => {
    const read = (): void => setState([...reporters.values()].at(-1) ?? null);
    listeners.add(read);
    read();
    return () => {
      listeners.delete(read);
    };
  }, []);
  const isLost = state?.link === 'lost';
  const isLostForLong = useDelayed(isLost);
  if (state === null) return null;
  if (isLost && isLostForLong) return <LostNotice heardAt={state.heardAt} />;
  if (state.health?.redis !== 'away') return null;
  return (
    <div className={styles.banner}>
      <Notice tone="warn" role="alert" title="Redis does not answer: what is shown is old.">
        <p>
          <Sentence
            text={state.health.message ?? 'Nothing is lost. This page goes on by itself once Redis answers.'}
          />
        </p>
      </Notice>
    </div>
  );
}

function LostNotice({ heardAt }: { heardAt: number | null }) {
  useNow();
  return (
    <div className={styles.banner}>
      <Notice tone="warn" role="alert" title="The dashboard's server is not reached: what is shown is old.">
        <p>
          {heardAt === null ? 'It has not answered yet.' : <LastHeard heardAt={heardAt} />} Runs go on without
          it; this page tries again by itself.
        </p>
      </Notice>
    </div>
  );
}

/** Hidden from screen readers: an alert that changes each second would be read out each second. */
function LastHeard({ heardAt }: { heardAt: number }) {
  const ago = Date.now() - heardAt;
  return <span aria-hidden="true">Last heard of {formatDuration(ago)} ago. </span>;
}

function useDelayed(isTrue: boolean): boolean {
  const [isDue, setIsDue] = useState(false);
  useEffect(() => {
    setIsDue(false);
    if (!isTrue) return;
    const timer = setTimeout(() => setIsDue(true), PATIENCE_MS);
    return () => clearTimeout(timer);
  }, [isTrue]);
  return isDue;
}
