import { type ReactNode, useId } from 'react';
import styles from './panel.module.css';

/** A part of a page with a heading of its own; a landmark, so that it can be jumped to. */
export function Panel(props: {
  title: string;
  aside?: ReactNode;
  children: ReactNode;
  isFlush?: boolean;
  anchor?: string;
}) {
  const { title, aside, children, isFlush = false, anchor } = props;
  const id = useId();
  return (
    <section id={anchor} className={styles.panel} aria-labelledby={id}>
      <header className={styles.head}>
        <h2 id={id}>{title}</h2>
        {aside !== undefined && <div className={styles.aside}>{aside}</div>}
      </header>
      <div className={isFlush ? styles.flush : styles.content}>{children}</div>
    </section>
  );
}
