/** Windows of runs on a line of time with the now-line. Times are the viewer's; each row says the wave's. */
import { useState } from 'react';
import { Link } from 'wouter';
import type { RunSummary } from '../../api/run.ts';
import { Panel } from '../components/panel.tsx';
import { Select } from '../components/select.tsx';
import { SignShape } from '../status/sign-shape.tsx';
import { isOver, RUN_SIGNS, VERDICT_SIGNS } from '../status/words.ts';
import { formatInBothZones, formatMoment, ownZone, shortZone } from '../view/moments.ts';
import type { RunGroups } from '../view/run-order.ts';
import { clip, placeOf, type Span, type SpanName, spanOf, ticksOf } from '../view/timeline.ts';
import styles from './calendar.module.css';

const OPTIONS = [
  { value: 'fit', text: 'What is live and to come' },
  { value: 'day', text: 'A day' },
  { value: 'week', text: 'A week' },
  { value: 'month', text: 'A month' },
] as const satisfies readonly { value: SpanName; text: string }[];

/** A calendar with more rows is a list: the table below has all. */
const MOST_ROWS = 40;
const MOST_TICKS = 9;

export function Calendar({ groups, now }: { groups: RunGroups; now: number }) {
  const [name, setName] = useState<SpanName>('fit');
  const { live, coming, past } = groups;
  const span = spanOf(name, [...live, ...coming], now);
  const seen = [...live, ...coming, ...past].filter((run) => clip(stretchOf(run, now), span) !== null);
  return (
    <Panel
      title="Calendar"
      aside={
        <>
          <span>in your time ({shortZone(ownZone())})</span>
          <Select label="Show" value={name} options={OPTIONS} onChange={setName} />
        </>
      }
    >
      <div className={styles.calendar}>
        <Axis span={span} now={now} />
        <ul className={styles.rows}>
          {seen.slice(0, MOST_ROWS).map((run) => (
            <Row key={run.id} run={run} span={span} now={now} />
          ))}
        </ul>
        {seen.length === 0 && <p className={styles.empty}>No window falls into this stretch.</p>}
      </div>
    </Panel>
  );
}

function Axis({ span, now }: { span: Span; now: number }) {
  return (
    <div className={styles.axis} aria-hidden="true">
      {ticksOf(span, MOST_TICKS).map(({ at, label, isDay }) => (
        <span key={at} className={styles.tick} data-day={isDay} style={{ left: percent(placeOf(at, span)) }}>
          <span>{label}</span>
        </span>
      ))}
      <span className={styles.now} style={{ left: percent(placeOf(now, span)) }}>
        <span className={styles.nowLabel}>now {formatMoment(now, 'time', null)}</span>
      </span>
    </div>
  );
}

function Row({ run, span, now }: { run: RunSummary; span: Span; now: number }) {
  const { window, estimate } = run;
  const sign = RUN_SIGNS[run.status];
  const ran = isOver(run) || run.status !== 'scheduled' ? clip(ranOf(run, now), span) : null;
  const open = window === null ? null : clip({ from: window.opensAt, to: window.closesAt }, span);
  const back = window === null ? null : clip({ from: window.rollbackBy, to: window.closesAt }, span);
  const ends = estimate.endsAt === null || isOver(run) ? null : placeOf(estimate.endsAt, span);
  const verdict = VERDICT_SIGNS[estimate.verdict];
  return (
    <li className={styles.row}>
      <div className={styles.name}>
        <SignShape shape={sign.shape} tone={sign.tone} />
        <Link href={`/runs/${encodeURIComponent(run.id)}`} className={styles.link}>
          {run.id}
        </Link>
        <span className={styles.word}>{sign.word}</span>
        <span className={styles.hidden}>{describe(run)}</span>
      </div>
      <div className={styles.lane} aria-hidden="true" title={describe(run)}>
        {open !== null && <span className={styles.window} style={box(open)} />}
        {back !== null && <span className={styles.back} style={box(back)} />}
        {ran !== null && <span className={styles.ran} data-tone={sign.tone} style={box(ran)} />}
        {ends !== null && ends >= 0 && ends <= 1 && (
          <span className={styles.ends} data-tone={verdict.tone} style={{ left: percent(ends) }}>
            <SignShape shape={verdict.shape} tone={verdict.tone} />
          </span>
        )}
      </div>
    </li>
  );
}

function describe({ window, estimate, createdAt, endedAt }: RunSummary): string {
  const zone = window?.timezone ?? null;
  const say = (at: number): string => formatInBothZones(at, 'full', zone);
  const parts = [
    window === null
      ? `no window, started ${say(createdAt)}`
      : `window ${say(window.opensAt)} to ${say(window.closesAt)}`,
    ...(endedAt === null ? [] : [`ended ${say(endedAt)}`]),
    ...(estimate.endsAt === null || endedAt !== null
      ? []
      : [`expected to end ${say(estimate.endsAt)}: ${VERDICT_SIGNS[estimate.verdict].word}`]),
  ];
  return parts.join('; ');
}

function stretchOf(run: RunSummary, now: number): Span {
  const ran = ranOf(run, now);
  if (run.window === null) return ran;
  const started = run.status === 'scheduled' ? run.window.opensAt : Math.min(ran.from, run.window.opensAt);
  return { from: started, to: Math.max(run.window.closesAt, ran.to) };
}

/** A run that is made ahead does nothing before its window opens. */
function ranOf({ createdAt, endedAt, window }: RunSummary, now: number): Span {
  return { from: Math.max(createdAt, window?.opensAt ?? createdAt), to: endedAt ?? now };
}

function percent(share: number): string {
  return `${share * 100}%`;
}

function box({ left, width }: { left: number; width: number }): { left: string; width: string } {
  return { left: percent(left), width: percent(width) };
}
