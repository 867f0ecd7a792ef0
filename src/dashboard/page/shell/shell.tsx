/** What stands around every page: skip link, header with navigation, banners. */
import type { ReactNode } from 'react';
import { Link, useRoute } from 'wouter';
import { useSession } from '../data/session.tsx';
import { Clocks } from './clocks.tsx';
import { LinkBanner } from './link-banner.tsx';
import styles from './shell.module.css';
import { ThemeSwitch } from './theme-switch.tsx';
import { UserMenu } from './user-menu.tsx';

export function Shell({ children }: { children: ReactNode }) {
  const { session } = useSession();
  return (
    <>
      <a href="#main" className={styles.skip}>
        Skip to what the page shows
      </a>
      <header className={styles.header}>
        <Link href="/" className={styles.brand}>
          <img src="/icon.svg" alt="" width="24" height="24" />
          <span>Landfall</span>
        </Link>
        {session?.user !== null && (
          <nav aria-label="Pages" className={styles.nav}>
            <NavLink to="/" pattern="/">
              Runs
            </NavLink>
            <NavLink to="/workers" pattern="/workers">
              Workers
            </NavLink>
            <a href="/queues" className={styles.link}>
              Queues
            </a>
            <NavLink to="/audit" pattern="/audit">
              Audit
            </NavLink>
          </nav>
        )}
        <div className={styles.side}>
          <Clocks />
          <ThemeSwitch />
          <UserMenu />
        </div>
      </header>
      <LinkBanner />
      <main id="main" tabIndex={-1} className={styles.main}>
        {children}
      </main>
    </>
  );
}

function NavLink({ to, pattern, children }: { to: string; pattern: string; children: ReactNode }) {
  const [isHere] = useRoute(pattern);
  return (
    <Link href={to} className={styles.link} aria-current={isHere ? 'page' : undefined}>
      {children}
    </Link>
  );
}
