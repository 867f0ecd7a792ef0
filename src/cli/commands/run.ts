import type { Command } from 'commander';
import type { App } from '../../app.ts';
import { asLandfallError, LandfallError } from '../../domain/errors.ts';
import { isEnded, type RunRecord } from '../../domain/run-record.ts';
import type { Wave } from '../../domain/wave.ts';
import { archiveRun } from '../../operations/archive-run.ts';
import { findRunOfWave } from '../../operations/find-run.ts';
import { type Plan, refuseFailedPlan } from '../../operations/plan.ts';
import { whyNothingStarts } from '../../operations/stands-still.ts';
import { startRun } from '../../operations/start-run.ts';
import type { CommandContext } from '../command-context.ts';
import { describeArchived } from '../describe-archived.ts';
import { ensureUp } from '../ensure-up.ts';
import { followToEnd } from '../follow-to-end.ts';
import { openViewFor, openWorkshopFor } from '../open-app.ts';
import { hasRecords, openRecords } from '../open-records.ts';
import { asOperator } from '../operator-name.ts';
import { describeWindow } from '../run-facts.ts';
import { planLoadedWave } from './plan.ts';

type RunOptions = { detach?: boolean; again?: boolean; json?: boolean };

export function addRun(program: Command, context: CommandContext): void {
  program
    .command('run')
    .argument('<wave>', 'wave file')
    .description(
      'migrate the machines of a wave and follow it; goes on with the run that the wave has already',
    )
    .option('--detach', 'start the run and return')
    .option('--again', 'make a new run, archiving the one that ended')
    .option('--json', 'print events as NDJSON')
    .action((file: string, options: RunOptions) => runWave(context, file, options));
}

async function runWave(context: CommandContext, file: string, options: RunOptions): Promise<void> {
  const { terminal } = context;
  const { run, wave } = await findOrStart(context, file, options.again === true);
  terminal.remark(describeStart(run));
  if (run.wave.digest !== wave.digest) terminal.remark(describeChange(run));
  await ensureUp(context, run.wave);
  for (const line of describeWait(run, options.detach === true)) terminal.remark(line);
  if (options.detach === true) {
    if (options.json === true) terminal.json({ run: run.id, status: run.status });
    else terminal.out(run.id);
    return;
  }
  await using view = await openViewFor(context);
  await followToEnd(view, context, { run: run.id, json: options.json === true });
}

/** The wave's run, or a new one, with nobody started yet: what is refused leaves an earlier run as it is, and no process. */
async function findOrStart(
  context: CommandContext,
  file: string,
  isAgain: boolean,
): Promise<{ run: RunRecord; wave: Wave }> {
  await using workshop = await openWorkshopFor(context);
  const wave = await workshop.loadWave(file);
  const earlier = await findEarlier(context, wave.name);
  if (earlier !== null && !isAgain) return { run: earlier, wave };
  if (earlier !== null && !isEnded(earlier.status)) throw stillRunning(wave, earlier);
  const plan = await planLoadedWave(workshop, wave, context.interrupted);
  refuseFailedPlan(plan);
  await using app = await openRecords(context);
  if (earlier !== null) await archiveEarlier(context, app, earlier);
  return { run: await startOrJoin(app, plan), wave };
}

async function archiveEarlier({ terminal }: CommandContext, app: App, earlier: RunRecord): Promise<void> {
  await archiveRun(earlier.id, asOperator(app));
  terminal.remark(describeArchived(earlier.id, await app.state.machines.all(earlier.id, earlier.machines)));
}

async function findEarlier(context: CommandContext, wave: string): Promise<RunRecord | null> {
  if (!(await hasRecords(context.config()))) return null;
  await using app = await openRecords(context);
  return await findRunOfWave(app.state, wave);
}

async function startOrJoin(app: App, plan: Plan): Promise<RunRecord> {
  try {
    return await startRun(plan, asOperator(app));
  } catch (error) {
    // Somebody else ran the same wave at the same moment: then theirs is the run.
    const theirs = await findRunOfWave(app.state, plan.wave.name);
    if (theirs !== null && asLandfallError(error).code === 'conflict') return theirs;
    throw error;
  }
}

function stillRunning(wave: Wave, run: RunRecord): LandfallError {
  return new LandfallError({
    code: 'conflict',
    message: `Wave ${wave.name} cannot be run again while its run ${run.id} is ${run.status}. Let it end, or \`landfall cancel ${run.id}\` first.`,
    context: { run: run.id },
  });
}

/** Of a run that does not begin at once: when it will, and who must be there then. */
function describeWait(run: RunRecord, isDetached: boolean): string[] {
  const now = Date.now();
  const why = whyNothingStarts(run, now);
  if (why === null || run.hold !== null) return why === null ? [] : [why];
  const window = describeWindow(run, now);
  const nobody =
    'Nobody need be awake for it: what must live is this host’s `landfall up`, or a worker that schedules.';
  const hint = 'Ctrl-C, or `--detach`, lets go of it; it begins all the same.';
  return [...window, why, isDetached ? nobody : `${nobody} ${hint}`];
}

function describeStart({ id, status, machines }: RunRecord): string {
  if (isEnded(status)) return `Run ${id} of this wave ended before (${status}); \`--again\` makes a new one.`;
  return `Run ${id}: ${machines.length} machine${machines.length === 1 ? '' : 's'}.`;
}

function describeChange({ id, status }: RunRecord): string {
  const first = !isEnded(status) ? ` (\`landfall cancel ${id}\` first)` : '';
  return `The wave file has changed since run ${id} was made; the run keeps the old one. \`--again\` makes a new run with the new one${first}.`;
}
