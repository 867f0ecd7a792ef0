import type { Tone } from '../status/words.ts';
import styles from './bar.module.css';

/** How much of a whole: `parts` are shares of 0 to 1, one after the other. It says in words what it shows. */
export function Bar({ label, parts }: { label: string; parts: readonly { share: number; tone: Tone }[] }) {
  return (
    <span className={styles.bar} role="img" aria-label={label}>
      {parts.map(({ share, tone }, index) => (
        <span
          // biome-ignore lint/suspicious/noArrayIndexKey: parts have no identity but their place.
          key={index}
          className={styles.part}
          data-tone={tone}
          style={{ width: `${Math.min(1, Math.max(0, share)) * 100}%` }}
        />
      ))}
    </span>
  );
}
