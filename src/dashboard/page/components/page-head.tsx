import { type ReactNode, useEffect } from 'react';
import styles from './page-head.module.css';

/** The page's heading, its title in the browser, and the way back. */
export function PageHead(props: {
  title: string;
  /** In the browser's tab, before "Landfall"; where it is not the heading. */
  tabTitle?: string;
  trail?: ReactNode;
  aside?: ReactNode;
  children?: ReactNode;
}) {
  const { title, tabTitle = title, trail, aside, children } = props;
  useEffect(() => {
    document.title = `${tabTitle} · Landfall`;
  }, [tabTitle]);
  return (
    <header className={styles.head}>
      {trail !== undefined && (
        <nav aria-label="Where this is" className={styles.trail}>
          {trail}
        </nav>
      )}
      <div className={styles.line}>
        <h1>{title}</h1>
        {children}
        {aside !== undefined && <div className={styles.aside}>{aside}</div>}
      </div>
    </header>
  );
}
