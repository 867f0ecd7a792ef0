/**
 * How many requests of each action an account may send in a second.
 * https://docs.aws.amazon.com/ebs/latest/userguide/ebs-resource-quotas.html
 */
import { throttled } from './refusals.ts';
import type { EbsAction } from './requests.ts';

export type RequestRates = {
  /** Throws RequestThrottledException. */
  admit(action: EbsAction): void;
};

/** AWS's quotas of a new account; a bucket holds the requests of one second. */
const PER_SECOND: Readonly<Record<EbsAction, number>> = {
  StartSnapshot: 10,
  CompleteSnapshot: 10,
  PutSnapshotBlock: 1000,
  GetSnapshotBlock: 1000,
  ListSnapshotBlocks: 50,
  ListChangedBlocks: 50,
};

export function createRequestRates(
  limits: Readonly<Record<string, number>>,
  now: () => number = () => performance.now(),
): RequestRates {
  const buckets = new Map<EbsAction, { level: number; at: number }>();
  return {
    admit(action) {
      const perSecond = limits[action] ?? PER_SECOND[action];
      if (perSecond === Number.POSITIVE_INFINITY) return;
      const at = now();
      const bucket = buckets.get(action) ?? { level: perSecond, at };
      const level = Math.min(perSecond, bucket.level + ((at - bucket.at) / 1000) * perSecond);
      buckets.set(action, { level: level < 1 ? level : level - 1, at });
      if (level < 1) throw throttled(action);
    },
  };
}
