/** Who said so, in words. */
import { formatTime } from '../domain/local-time.ts';
import type { Say } from '../domain/run-record.ts';

/** `ada@ops at 17:43:01 (change 4711)`. */
export function describeSay(say: Say | null, now: number = Date.now()): string {
  if (say === null) return 'nobody';
  return `${say.by} at ${formatTime(say.at, now)}${say.reason === null ? '' : ` (${say.reason})`}`;
}

/** The same for eyes elsewhere, to whom this host's time says nothing. */
export function describeSayWithoutTime({ by, reason }: Say): string {
  return `${by}${reason === null ? '' : ` (${reason})`}`;
}
