/** A run's own operations, played without committing anything: they refuse what they would refuse. */
import type { SteerDeps } from '../../operations/steer.ts';

/** Of a run as a whole: nothing is written, nobody is told. */
export function rehearse({ state, conductor, by }: SteerDeps): SteerDeps {
  return {
    state,
    conductor: { ...conductor, changeRun: async () => null },
    by,
  };
}
