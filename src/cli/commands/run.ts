import type { Command } from 'commander';
import { type App, openWorkshop } from '../../app.ts';
import { asLandfallError, LandfallError } from '../../domain/errors.ts';
import type { RunRecord } from '../../domain/run-record.ts';
import type { Wave } from '../../domain/wave.ts';
import { archiveRun } from '../../operations/archive-run.ts';
import { findRunOfWave } from '../../operations/find-run.ts';
import { refuseFailedPlan } from '../../operations/plan.ts';
import { startRun } from '../../operations/start-run.ts';
import type { CommandContext } from '../command-context.ts';
import { ensureUp } from '../ensure-up.ts';
import { followToEnd } from '../follow-to-end.ts';
import { openAppFor } from '../open-app.ts';
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
  const { terminal, interrupted } = context;
  const remark = (line: string): void => terminal.remark(line);
  // The file is read before anything is started: a mistake in it must cost nothing.
  const wave = await readWave(context, file);
  await ensureUp(context.config(), remark, interrupted);
  await using app = await openAppFor(context);
  const earlier = await findRunOfWave(app.state, wave.name);
  const isNew = earlier === null || options.again === true;
  const run = isNew ? await startAnew(app, { wave, earlier, signal: interrupted }) : earlier;
  remark(describeStart(run));
  if (options.detach === true) {
    if (options.json === true) terminal.json({ run: run.id, status: run.status });
    else terminal.out(run.id);
    return;
  }
  await followToEnd(app, context, { run: run.id, json: options.json === true });
}

async function readWave(context: CommandContext, file: string): Promise<Wave> {
  await using workshop = await openWorkshop(context.config());
  return await workshop.loadWave(file);
}

/** Plans first: what is refused leaves an earlier run as it is. */
async function startAnew(
  app: App,
  { wave, earlier, signal }: { wave: Wave; earlier: RunRecord | null; signal: AbortSignal },
): Promise<RunRecord> {
  if (earlier?.status === 'running') throw stillRunning(wave, earlier);
  const plan = await planLoadedWave(app, wave, signal);
  refuseFailedPlan(plan);
  if (earlier !== null) await archiveRun(earlier.id, app);
  try {
    return await startRun(plan, app);
  } catch (error) {
    // Somebody else ran the same wave at the same moment: then theirs is the run.
    const theirs = await findRunOfWave(app.state, wave.name);
    if (theirs !== null && asLandfallError(error).code === 'conflict') return theirs;
    throw error;
  }
}

function stillRunning(wave: Wave, run: RunRecord): LandfallError {
  return new LandfallError({
    code: 'conflict',
    message: `Wave ${wave.name} cannot be run again while its run ${run.id} is running. Let it end, or \`landfall cancel ${run.id}\` first.`,
    context: { run: run.id },
  });
}

function describeStart({ id, status, machines }: RunRecord): string {
  if (status !== 'running')
    return `Run ${id} of this wave ended before (${status}); \`--again\` makes a new one.`;
  return `Run ${id}: ${machines.length} machine${machines.length === 1 ? '' : 's'}.`;
}
