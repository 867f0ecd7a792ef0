/** Clean up: what failed and cancelled machines left at the target is removed. */
import { saveError } from '../../domain/errors.ts';
import { cleanUpRun, type DiscardDeps, findLeftovers, isDebris } from '../../operations/discard.ts';
import { recordAction } from '../../operations/operator.ts';
import { holdsLandingData } from '../../operations/roll-back.ts';
import type { Preview } from '../api/action.ts';
import { type Deed, type DeedInput, machinesAre, nameSome, namesOf } from './deed.ts';

/** A preview does not wait for a cloud that is slow. */
const ASK_TIMEOUT_MS = 8_000;
const MOST_NAMED = 20;

export const cleanup: Deed = {
  preview: previewCleanUp,
  async perform(of) {
    const { run, deps, reason } = of;
    // Also what belongs to no machine any more goes in somebody's name.
    await recordAction(deps.state, { run: run.id, machine: null, action: 'cleanup', by: deps.by, reason });
    const removals = await cleanUpRun(run, discardDeps(of), reason);
    const failed = removals.filter(({ outcome }) => outcome === 'failed');
    const removed = removals.length - failed.length;
    const kept = failed.map(
      ({ machine, kind, id, message }) => `Kept: ${machine ?? 'the run'}: ${kind} ${id ?? ''}: ${message}`,
    );
    const said =
      removals.length === 0 ? 'Nothing is left.' : `${removed} of ${removals.length} things removed.`;
    const machines = removals.flatMap(({ machine, outcome }) =>
      outcome === 'removed' ? (machine ?? []) : [],
    );
    return { message: [said, ...kept].join(' '), changed: [...new Set(machines)] };
  },
};

async function previewCleanUp(of: DeedInput): Promise<Preview> {
  const { run, all } = of;
  const debris = all.filter(isDebris);
  const landed = all.filter(holdsLandingData).length;
  return {
    consequences: [
      await describeLeftovers(of),
      ...(debris.length === 0 ? [] : [`${nameSome(namesOf(debris))}: a retry begins from the start.`]),
      ...(landed === 0 ? [] : [`${machinesAre(landed)} kept: what landed is not touched.`]),
    ],
    machines: namesOf(debris),
    refusal: run.archivedAt === null || debris.length > 0 ? null : 'Nothing is to be cleaned up.',
    isReversible: false,
  };
}

async function describeLeftovers(of: DeedInput): Promise<string> {
  try {
    const signal = AbortSignal.any([of.signal, AbortSignal.timeout(ASK_TIMEOUT_MS)]);
    const things = await findLeftovers(of.run, { ...discardDeps(of), signal });
    if (things.length === 0) return "Nothing is left at the target under this run's tag.";
    const named = things
      .slice(0, MOST_NAMED)
      .map(({ machine, kind, id }) => `${machine ?? 'the run'}: ${kind} ${id}`);
    const more = things.length > MOST_NAMED ? ` and ${things.length - MOST_NAMED} more` : '';
    return `${things.length} ${things.length === 1 ? 'thing is' : 'things are'} deleted at the target: ${named.join('; ')}${more}.`;
  } catch (error) {
    return `What machines that did not land left at the target is deleted. (It does not say now what there is: ${saveError(error).message})`;
  }
}

function discardDeps({ app, run, deps, signal }: DeedInput): DiscardDeps {
  const { config, resolve } = app;
  const [source, target] = [app.openSource(run.wave), app.openTarget(run.wave)];
  return { ...deps, source, target, resolve, stagingFolder: config.staging, signal };
}
