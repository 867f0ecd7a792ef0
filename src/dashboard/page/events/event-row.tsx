import { memo } from 'react';
import type { ShownEvent } from '../../api/machine.ts';
import { Moment } from '../components/moment.tsx';
import { SignShape } from '../status/sign-shape.tsx';
import { signOf } from '../view/event-filter.ts';
import styles from './events-panel.module.css';

export const EventRow = memo(function EventRow({ event, zone }: { event: ShownEvent; zone: string | null }) {
  const sign = signOf(event);
  return (
    <li className={styles.event} data-tone={sign.tone}>
      <span className={styles.when}>
        <Moment at={event.at} zone={zone} style="seconds" isShort />
      </span>
      <span className={styles.kind}>
        <SignShape shape={sign.shape} tone={sign.tone} /> {sign.word}
      </span>
      <span className={styles.text}>{event.text}</span>
    </li>
  );
});
