/** Who acts. */
import { LandfallError } from '../domain/errors.ts';
import type { User } from './access/user.ts';

/** Access lets nobody through to an action without it. */
export function actorOf(user: User | null): User {
  if (user !== null) return user;
  throw new LandfallError({ code: 'internal', message: 'An action was asked for, and nobody is logged in.' });
}
