import { Button } from '../components/button.tsx';
import { api } from '../data/api.ts';
import { useSession } from '../data/session.tsx';
import styles from './shell.module.css';

/** Who looks and as what; nothing where no login is wanted. */
export function UserMenu() {
  const { session, reload } = useSession();
  if (session === null || session.user === null || session.login === 'none') return null;
  return (
    <span className={styles.user}>
      <span>
        {session.user.name} <small>{session.user.role}</small>
      </span>
      <Button look="quiet" onClick={() => void api.logOut().finally(reload)}>
        Log out
      </Button>
    </span>
  );
}
