import {
  formatInBothZones,
  formatMoment,
  formatOwn,
  isSameClock,
  type MomentStyle,
  shortZone,
} from '../view/moments.ts';
import styles from './moment.module.css';

/** A moment in the wave's zone (null: only the viewer's), with the viewer's own beside it where that differs. */
export function Moment(props: {
  at: number;
  zone: string | null;
  style?: MomentStyle;
  /** Only the wave's: the viewer's is told to screen readers and on pointing. */
  isShort?: boolean;
}) {
  const { at, zone, style = 'full', isShort = false } = props;
  const differs = zone !== null && !isSameClock(at, zone);
  return (
    <time
      dateTime={new Date(at).toISOString()}
      title={formatInBothZones(at, 'full', zone)}
      className={styles.moment}
    >
      {formatMoment(at, style, zone)}
      {differs && !isShort && (
        <>
          {' '}
          <span className={styles.zone}>
            {shortZone(zone)} · {formatOwn(at, style, zone)} yours
          </span>
        </>
      )}
    </time>
  );
}
