/** Who asks, and what they may. */
import { ROLES, type Role } from '../api/session.ts';

/** `name` goes into the audit trail. */
export type User = { name: string; role: Role };

/** Of a route: open to everybody, or to whoever has at least this role. A route that says nothing is for viewers. */
export type RouteAccess = 'public' | Role;

declare module 'fastify' {
  interface FastifyRequest {
    /** Set before a route that is not public is reached. */
    user: User | null;
  }
  interface FastifyContextConfig {
    access?: RouteAccess;
  }
}

/** Each role may what those before it may. */
export function hasRole(user: User, role: Role): boolean {
  return ROLES.indexOf(user.role) >= ROLES.indexOf(role);
}

export function highestRole(roles: readonly Role[]): Role | null {
  return ROLES.findLast((role) => roles.includes(role)) ?? null;
}
