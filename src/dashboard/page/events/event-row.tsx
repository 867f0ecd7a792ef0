import { memo } from 'react';
import type { ShownEvent } from '../../api/machine.ts';
import { LongText } from '../components/long-text.tsx';
import { Moment } from '../components/moment.tsx';
import { serverNow } from '../data/clock.ts';
import { SignShape } from '../status/sign-shape.tsx';
import { signOf } from '../view/event-filter.ts';
import styles from './events-panel.module.css';

const CLOCK_IS_ENOUGH_MS = 18 * 60 * 60 * 1000;

/** `about`: the machine that all of them are about, whose name then need not be in each. */
export const EventRow = memo(function EventRow(props: {
  event: ShownEvent;
  zone: string | null;
  about: string | null;
}) {
  const { event, zone, about } = props;
  const sign = signOf(event);
  const isOld = serverNow() - event.at > CLOCK_IS_ENOUGH_MS;
  const text =
    about !== null && event.text.startsWith(`${about} `) ? event.text.slice(about.length + 1) : event.text;
  return (
    <li className={styles.event} data-tone={sign.tone}>
      <span className={styles.when}>
        <Moment at={event.at} zone={zone} style={isOld ? 'full' : 'seconds'} isShort />
      </span>
      <span className={styles.kind}>
        <SignShape shape={sign.shape} tone={sign.tone} /> {sign.word}
      </span>
      <div className={styles.text}>
        <LongText text={text} />
      </div>
    </li>
  );
});
