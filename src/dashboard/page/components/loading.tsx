import styles from './loading.module.css';

/** Said late: what comes within a moment does not flicker. */
export function Loading({ what }: { what: string }) {
  return (
    <p className={styles.loading} role="status">
      {what}
    </p>
  );
}
