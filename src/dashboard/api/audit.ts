/** Who did what that is of no run: pools, logins. What is of a run is among its events. */
import { z } from 'zod';

export const auditListSchema = z.object({
  /** Oldest first. */
  entries: z.array(
    z.object({
      id: z.string(),
      at: z.number(),
      by: z.string(),
      action: z.string(),
      reason: z.string().nullable(),
    }),
  ),
  hasMore: z.boolean(),
});
export type AuditList = z.infer<typeof auditListSchema>;
