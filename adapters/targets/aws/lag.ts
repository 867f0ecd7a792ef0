/**
 * AWS's reads lag behind its writes: a thing made a moment ago may be unknown to the request that uses it.
 * https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html
 */
import { LandfallError } from '../../../src/domain/errors.ts';
import type { StepContext } from '../../../src/domain/ports.ts';
import { awsCodeOf } from './errors.ts';

const UNSEEN = /^Invalid(Snapshot|AMIID|Group)\.(NotFound|Unavailable)$|^InvalidID$/;
/** AWS names no bound; the lag is seconds, and what is still unknown after minutes is gone. */
const SEEN_AFTER_MS = 5 * 60_000;

/** For a thing that is made anew, or found again, by the next try: "not found" is tried again. */
export function asLag(error: unknown): unknown {
  if (!(error instanceof LandfallError) || !UNSEEN.test(awsCodeOf(error))) return error;
  return new LandfallError({
    code: 'target-unavailable',
    retryable: true,
    message: `${error.message} It was made a moment ago and AWS may not know it everywhere yet: it is tried again.`,
    cause: error,
    context: error.context,
  });
}

/** The same for a thing that nothing makes anew: only while the ledger's note of it is young. */
export async function asLagOfNew(
  error: unknown,
  { kind, context }: { kind: 'image' | 'import-task'; context: StepContext },
): Promise<unknown> {
  const entries = await context.ledger.entries();
  const notedAt = entries.filter(({ thing }) => thing.split(':')[0] === kind).map(({ at }) => at);
  const ageMs = (await context.clock.now()) - Math.max(...notedAt);
  return ageMs < SEEN_AFTER_MS ? asLag(error) : error;
}
