import styles from './sign.module.css';
import type { Shape, Tone } from './words.ts';

/** Shapes that differ in outline, not only in what is inside: told apart at three metres and without colours. */
const DRAWINGS: Readonly<Record<Shape, React.ReactNode>> = {
  check: (
    <>
      <circle cx="8" cy="8" r="7" className={styles.filled} />
      <path d="m4.7 8.2 2.3 2.3 4.3-4.8" className={styles.inside} />
    </>
  ),
  cross: (
    <>
      <path d="M5.1 1h5.800L15 5.100v5.800L10.9 15H5.100L1 10.900V5.100z" className={styles.filled} />
      <path d="m5.4 5.4 5.2 5.200m0-5.2-5.2 5.2" className={styles.inside} />
    </>
  ),
  pause: <path d="M3 2h3.600v12H3zM9.4 2H13v12H9.400z" className={styles.filled} />,
  play: <path d="M3.2 1.6 14 8 3.2 14.400z" className={styles.filled} />,
  circle: <circle cx="8" cy="8" r="5.6" className={styles.outline} />,
  dashed: <circle cx="8" cy="8" r="5.6" className={styles.dashes} />,
  back: (
    <path
      d="M7.4 1.8 1 7.200l6.4 5.400V9.300c3.4 0 5.6 1.3 7.2 4.5 0-5-2.4-8.3-7.2-8.700z"
      className={styles.filled}
    />
  ),
  square: <rect x="2.5" y="2.5" width="11" height="11" rx="1" className={styles.outline} />,
  clock: (
    <>
      <circle cx="8" cy="8" r="6.2" className={styles.outline} />
      <path d="M8 4.400V8l2.5 1.7" className={styles.outline} />
    </>
  ),
  alert: (
    <>
      <path d="M8 1.2 15.4 14.400H.6z" className={styles.filled} />
      <path d="M8 6v4m0 1.900v.4" className={styles.inside} />
    </>
  ),
  question: (
    <>
      <circle cx="8" cy="8" r="6.2" className={styles.outline} />
      <path
        d="M6.2 6.300c.1-1.2.9-1.7 1.8-1.7 1.1 0 1.8.7 1.8 1.6 0 1.5-1.8 1.5-1.8 3m0 1.900v.2"
        className={styles.outline}
      />
    </>
  ),
};

export function SignShape({ shape, tone }: { shape: Shape; tone: Tone }) {
  return (
    <svg viewBox="0 0 16 16" className={styles.shape} data-tone={tone} aria-hidden="true" focusable="false">
      {DRAWINGS[shape]}
    </svg>
  );
}
