/** Lengths of time as people write them. */
import { z } from 'zod';

const MAX_SECONDS = 7 * 24 * 3_600;
const SECONDS = { s: 1, m: 60, h: 3_600 } as const;

/** Also gives the seconds: `10m` is 600. */
export const durationSchema = z
  .union(
    [
      z
        .string()
        .regex(/^\d+(\.\d+)?[smh]$/)
        .transform((text) => Number.parseFloat(text) * SECONDS[text.at(-1) as keyof typeof SECONDS]),
      z.number(),
    ],
    { error: 'must be a duration such as 90s, 10m or 2h, or a number of seconds' },
  )
  .refine((seconds) => seconds >= 1 && seconds <= MAX_SECONDS, {
    error: 'must be between one second and seven days',
  });
