/** Logging in: by a token, or at the provider. Where nobody has to, it says so. */
import { useEffect } from 'react';
import { Link, useLocation, useSearch } from 'wouter';
import { PageHead } from '../components/page-head.tsx';
import { useSession } from '../data/session.tsx';
import { localTarget } from '../view/login-target.ts';
import styles from './login-page.module.css';
import { TokenForm } from './token-form.tsx';

export function LoginPage() {
  const { session, reload } = useSession();
  const [path, navigate] = useLocation();
  const search = useSearch();
  const isHere = path === '/login';
  const to = localTarget(
    isHere ? new URLSearchParams(search).get('to') : `${path}${search === '' ? '' : `?${search}`}`,
  );
  const isIn = session !== null && session.user !== null;
  useEffect(() => {
    if (isIn && isHere && session.login !== 'none') navigate(to, { replace: true });
  }, [isIn, isHere, session, to, navigate]);
  if (session === null) return null;
  const enter = (): void => {
    reload();
    if (isHere) navigate(to, { replace: true });
  };
  if (session.user !== null) {
    return (
      <>
        <PageHead title={`You are ${session.user.name} (${session.user.role})`} tabTitle="Log in" />
        <p>
          {session.login === 'none' && 'Whoever reaches this page may act: it listens on this machine only. '}
          <Link href="/">See all runs</Link>
        </p>
      </>
    );
  }
  return (
    <div className={styles.card}>
      <PageHead title="Log in to Landfall" tabTitle="Log in" />
      {session.login === 'oidc' ? (
        <>
          <OidcButton to={to} />
          {/* The night on which the provider is away is the wrong one to be locked out. */}
          <details className={styles.instead}>
            <summary>With a token instead</summary>
            <TokenForm onLoggedIn={enter} />
          </details>
        </>
      ) : (
        <TokenForm onLoggedIn={enter} />
      )}
      <p className={styles.version}>Landfall {session.version}</p>
    </div>
  );
}

/** A link, not a request: the provider's page is somebody else's. */
function OidcButton({ to }: { to: string }) {
  return (
    <>
      <p>Your organisation's login says who you are and what you may do here.</p>
      <a className={styles.provider} href={`/api/login/oidc?to=${encodeURIComponent(to)}`}>
        Log in at your organisation
      </a>
    </>
  );
}
