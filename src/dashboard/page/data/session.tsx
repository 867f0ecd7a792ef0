/** Who looks, and what they may do. */
import { createContext, type ReactNode, useContext, useEffect } from 'react';
import type { Role, Session } from '../../api/session.ts';
import { api, watchRefusals } from './api.ts';
import { useResource } from './use-resource.ts';

export type SessionState = {
  session: Session | null;
  problem: Error | null;
  reload: () => void;
  /** May they do what this role may? */
  may: (role: Role) => boolean;
};

const RANKS: Readonly<Record<Role, number>> = { viewer: 0, operator: 1, approver: 2 };

const SessionContext = createContext<SessionState | null>(null);

export function SessionProvider({ children }: { children: ReactNode }) {
  const { value, problem, reload } = useResource('session', api.session);
  // It lapsed, or an administrator took it away: whatever request finds out, the whole page shows the login.
  useEffect(() => watchRefusals(reload), [reload]);
  const role = value?.user?.role;
  const may = (wanted: Role): boolean => role !== undefined && RANKS[role] >= RANKS[wanted];
  return <SessionContext value={{ session: value, problem, reload, may }}>{children}</SessionContext>;
}

export function useSession(): SessionState {
  const state = useContext(SessionContext);
  if (state === null) throw new Error('useSession is used outside of SessionProvider');
  return state;
}
