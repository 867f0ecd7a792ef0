/** What `discard` and `cleanup` share: what they need, and what they say of what they removed. */
import type { App } from '../app.ts';
import { EXIT_FAILED } from '../domain/errors.ts';
import type { RunRecord } from '../domain/run-record.ts';
import type { DiscardDeps, Leftover, Removal } from '../operations/discard.ts';
import type { CommandContext } from './command-context.ts';
import { asOperator } from './operator-name.ts';

const NOTHING = 'Nothing is left.';

/** What landed is there on purpose: who reads that nothing is left must not take it for gone. */
export function nothingLeft(landed: number): string {
  return landed === 0 ? NOTHING : `${NOTHING} Landed machines are kept: ${landed}.`;
}

export function discardDeps(app: App, run: RunRecord, signal: AbortSignal): DiscardDeps {
  const { state, conductor, config, resolve } = app;
  const [source, target] = [app.openSource(run.wave), app.openTarget(run.wave)];
  const stagingFolder = config.staging;
  return asOperator({ state, conductor, source, target, resolve, stagingFolder, signal });
}

/** `nothing` is said where there was nothing to remove. */
export function showRemovals(
  context: CommandContext,
  removals: readonly Removal[],
  { json, nothing = NOTHING }: { json: boolean; nothing?: string },
): void {
  const { terminal } = context;
  const failed = removals.filter((removal) => removal.outcome === 'failed');
  if (json) terminal.json(removals);
  else if (removals.length === 0) terminal.out(nothing);
  else for (const removal of removals) terminal.out(describe(removal));
  if (failed.length > 0) context.exitWith(EXIT_FAILED);
}

/** The same words for what would be removed, what was, and what could not be. */
export function nameLeftover({ machine, kind, id }: Leftover): string {
  return `${machine ?? 'the run'}: ${kind}${id === null ? ' (its id was never written down)' : ` ${id}`}`;
}

function describe(removal: Removal): string {
  const what = nameLeftover(removal);
  return removal.outcome === 'removed' ? `✔ removed  ${what}` : `✖ kept     ${what}: ${removal.message}`;
}
