/** Who looks, and how one logs in. */
import { z } from 'zod';

/**
 *   viewer    sees everything
 *   operator  also acts: holds, releases, retries, cancels, cuts over, rolls back, commits, cleans up, sets pools
 *   approver  also approves
 */
export const ROLES = ['viewer', 'operator', 'approver'] as const;
export const roleSchema = z.enum(ROLES);
export type Role = z.infer<typeof roleSchema>;

export const sessionSchema = z.object({
  /** null: nobody is logged in, and somebody must be. */
  user: z.object({ name: z.string(), role: roleSchema }).nullable(),
  /** How to log in; none: whoever reaches the page may act, since it listens on this machine only. */
  login: z.enum(['none', 'tokens', 'oidc']),
  version: z.string(),
});
export type Session = z.infer<typeof sessionSchema>;

export const loginSchema = z.object({ token: z.string().min(1).max(512) });

/** What every refusal looks like. `remedy` is part of the message. */
export const problemSchema = z.object({
  error: z.object({ code: z.string(), message: z.string() }),
});
export type Problem = z.infer<typeof problemSchema>;
