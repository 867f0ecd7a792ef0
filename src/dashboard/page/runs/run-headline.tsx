import { Link } from 'wouter';
import type { RunSummary } from '../../api/run.ts';
import { SignShape } from '../status/sign-shape.tsx';
import { type Claim, headlineOf } from '../view/headline.ts';
import styles from './run-headline.module.css';

const NO_BREAK = '\u00a0';
/** `1 h 10 min` stays on one line. */
const UNIT = /(\d) (d|h|min|s)\b/g;

/** The sentence that a wall screen is there for. */
export function RunHeadline({
  run,
  now,
  isLink = false,
}: {
  run: RunSummary;
  now: number;
  isLink?: boolean;
}) {
  const { progress, trouble, back, window } = headlineOf(run, now);
  const address = `/runs/${encodeURIComponent(run.id)}`;
  return (
    <p className={styles.headline}>
      {isLink && (
        <>
          <Link href={address} className={styles.name}>
            {run.id}
          </Link>
          {': '}
        </>
      )}
      {progress.text}
      {trouble !== null && (
        <>
          {', '}
          <Link href={`${address}?only=failing`} className={styles.trouble} onClick={showMachines}>
            <ClaimText claim={trouble} />
          </Link>
        </>
      )}
      {back !== null && (
        <>
          {', '}
          <ClaimText claim={back} />
        </>
      )}
      {window !== null && (
        <>
          {', '}
          <ClaimText claim={window} />
        </>
      )}
    </p>
  );
}

function ClaimText({ claim: { text, tone, shape } }: { claim: Claim }) {
  return (
    <span className={styles.claim} data-tone={tone ?? undefined}>
      {tone !== null && shape !== null && (
        <>
          <SignShape shape={shape} tone={tone} />
          {NO_BREAK}
        </>
      )}
      {text.replaceAll(UNIT, `$1${NO_BREAK}$2`)}
    </span>
  );
}

/** On the run's own page they are further down. */
function showMachines(): void {
  document.getElementById('machines')?.scrollIntoView();
}
