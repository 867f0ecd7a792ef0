/** A landing at AWS, as records hold it. */
import type { JsonObject } from '../../../src/domain/json.ts';
import type { Landing } from '../../../src/domain/landing.ts';

export const LANDING_KIND = 'aws-instance';

export type LandingRef = {
  region: string;
  instanceId: string;
  imageId: string;
  subnet: string;
  privateIp: string | null;
  /** Snapshot ids by disk id; empty where AWS made the image itself. */
  snapshots: Record<string, string>;
  /** The group it was proven in. */
  quarantineGroup: string;
  /** The groups it is in now. */
  groups: string[];
};

export function landingOf(ref: LandingRef): Landing {
  return { kind: LANDING_KIND, id: ref.instanceId, ref: { ...ref }, address: ref.privateIp };
}

export function landingRef({ ref }: { ref: JsonObject }): LandingRef {
  return ref as unknown as LandingRef;
}
