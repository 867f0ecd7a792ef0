/** What `run` and `watch` share: follow, show the proofs of what landed and why the rest did not, set the exit status. */

import type { MachineRecord } from '../domain/machine-record.ts';
import { isEnded } from '../domain/run-record.ts';
import { findRun } from '../operations/find-run.ts';
import { adviseRetry } from '../operations/retry-advice.ts';
import { sourcesOff } from '../operations/sources-off.ts';
import type { View } from '../view.ts';
import type { CommandContext } from './command-context.ts';
import { showProofs } from './commands/proof.ts';
import { describeOff } from './describe-off.ts';
import { EXIT_DETACHED, exitStatusOfRun, followRun } from './follow.ts';

export async function followToEnd(
  view: View,
  context: CommandContext,
  options: { run: string; json: boolean },
): Promise<void> {
  const { terminal } = context;
  const before = await findRun(view.state, options.run);
  // An ended run has nothing to follow; NDJSON still gives its history.
  const isOver = isEnded(before.status) && !options.json;
  const run = isOver ? before : await followRun(view, context, options);
  if (run === null) {
    terminal.remark(`Detached. The run goes on: \`landfall watch ${options.run}\` follows it again.`);
    context.exitWith(EXIT_DETACHED);
    return;
  }
  const status = exitStatusOfRun(run);
  context.exitWith(status);
  if (options.json) {
    terminal.json({ type: 'end', run: run.id, status: run.status, exitStatus: status });
    return;
  }
  await showProofs(view, terminal, { run, json: false });
  const machines = await view.state.machines.all(run.id, run.machines);
  const failed = machines.filter((record) => record.status === 'failed');
  for (const record of failed) terminal.out(`✖ ${isOver ? describeFailure(record) : nameFailure(record)}`);
  for (const { machine, error } of machines.filter(({ status }) => status === 'rolled-back'))
    terminal.out(
      `◀ ${machine.name} was rolled back, and runs at its source: ${error?.message ?? 'an operator said so'}`,
    );
  for (const line of describeOff(run.id, sourcesOff(machines))) terminal.out(line);
  const discarded = machines.filter(({ status }) => status === 'discarded');
  if (isOver && discarded.length > 0) terminal.out(describeDiscarded(discarded));
  for (const [index, advice] of adviseRetry(run.id, failed).entries())
    terminal.out(index === 0 ? `\n${advice}` : advice);
}

function describeFailure({ machine, error }: MachineRecord): string {
  return `${machine.name}: ${error?.message ?? 'failed'}`;
}

export function describeDiscarded(records: readonly MachineRecord[]): string {
  const names = records.map(({ machine }) => machine.name);
  const more = names.length - NAMED;
  return `· ${names.length} discarded: ${names.slice(0, NAMED).join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}

const NAMED = 10;

/** Whoever followed has read why. */
function nameFailure({ run, machine, error, steps }: MachineRecord): string {
  const step = Object.values(steps).find(({ state }) => state === 'failed');
  const where = step === undefined ? '' : ` at ${step.stage}`;
  return `${machine.name} failed${where} (${error?.code ?? 'internal'}); why: \`landfall logs ${run} ${machine.name}\``;
}
