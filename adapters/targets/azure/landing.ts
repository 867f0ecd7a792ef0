/** A landing at Azure, as records hold it. */
import type { JsonObject } from '../../../src/domain/json.ts';
import type { Landing } from '../../../src/domain/landing.ts';

export const LANDING_KIND = 'azure-vm';

export type LandingRef = {
  resourceGroup: string;
  location: string;
  /** Its name. */
  virtualMachine: string;
  /** Tells it from another one of the same name. */
  vmId: string;
  networkInterface: string;
  subnet: string;
  privateIp: string | null;
  /** Names of disks by disk id. */
  disks: Record<string, string>;
  /** Names of snapshots by disk id, taken before it first booted; empty where the wave keeps none. */
  snapshots: Record<string, string>;
  /** The group it was proven in. */
  quarantineGroup: string;
  /** The group it is in now. */
  group: string;
};

export function landingOf(ref: LandingRef): Landing {
  return { kind: LANDING_KIND, id: ref.virtualMachine, ref: { ...ref }, address: ref.privateIp };
}

export function landingRef({ ref }: { ref: JsonObject }): LandingRef {
  return ref as unknown as LandingRef;
}
