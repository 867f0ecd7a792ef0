/** What the contract stands on: a target that answers, and a client of its own that sees what the adapter made there. */
import type { TargetAdapter } from '../../../src/domain/adapter.ts';
import type { JsonObject } from '../../../src/domain/json.ts';
import type { Landing } from '../../../src/domain/landing.ts';
import type { MachineTraits } from './machines.ts';

/** How many of each kind of thing carry a run's tag, for example {snapshot: 2, image: 1}; kinds of none are left out. */
export type Holdings = Readonly<Record<string, number>>;

/** A wave that pre-flight must refuse: the good one, changed in one place. */
export type RefusedPlan = {
  name: string;
  options?: JsonObject;
  to?: JsonObject;
  traits?: MachineTraits;
  /** Matches the message of the finding that fails. */
  message: RegExp;
};

export type TargetGround = AsyncDisposable & {
  adapter: TargetAdapter;
  /** A good target and a good place to land. Uploads that go in parts must take at least two for 11 MiB. */
  options: JsonObject;
  to: JsonObject;
  refused: readonly RefusedPlan[];
  holdings(run: string): Promise<Holdings>;
  /** How many things one finished upload leaves. */
  uploadLeaves: number;
  /** What one landing of a machine with two disks leaves at the target before and after its uploads were removed. */
  landed: Holdings;
  /** Things like ours without our tag; `stand` tells whether all of them are still there. */
  plantStrangers(): Promise<{ stand(): Promise<boolean> }>;
  /** Is the landing in service, as the ground sees it, with the groups or rules of `to`? */
  isAdmitted(landing: Landing): Promise<boolean>;
};
