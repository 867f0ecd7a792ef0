import { useNow } from '../data/clock.ts';
import { formatMoment, ownZone, shortZone } from '../view/moments.ts';
import styles from './shell.module.css';

/** The server's time in the viewer's zone. */
export function Clocks() {
  const now = useNow();
  return (
    <span className={styles.clock} title={`The server's time, in your zone (${ownZone()})`}>
      <time dateTime={new Date(now).toISOString()}>{formatMoment(now, 'seconds', null)}</time>
      <span>{shortZone(ownZone())}</span>
    </span>
  );
}
