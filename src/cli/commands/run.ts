import type { Command } from 'commander';
import { type App, openApp, openWorkshop } from '../../app.ts';
import type { RunRecord } from '../../domain/run-record.ts';
import type { Wave } from '../../domain/wave.ts';
import { planWave, refuseFailedPlan } from '../../operations/plan.ts';
import { archiveEarlierRun, findRunOfWave, startRun } from '../../operations/start-run.ts';
import type { CommandContext } from '../command-context.ts';
import { ensureUp } from '../ensure-up.ts';
import { followToEnd } from '../follow-to-end.ts';

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
  const config = context.config();
  // The file is read before anything is started: a mistake in it must cost nothing.
  await using workshop = await openWorkshop(config);
  const wave = await workshop.loadWave(file);
  const remark = (line: string): void => terminal.remark(line);
  await ensureUp(config, remark, context.interrupted);
  await using app = await openApp(config, (state, detail) =>
    remark(state === 'away' ? `Redis is away (${detail}); waiting for it.` : 'Redis is back; going on.'),
  );
  if (options.again === true) await archiveEarlierRun(wave.name, app);
  const run = (await findRunOfWave(app.state, wave.name)) ?? (await planAndStart(app, wave, context));
  remark(
    run.status === 'running'
      ? `Run ${run.id}: ${run.machines.length} machine${run.machines.length === 1 ? '' : 's'}.`
      : `Run ${run.id} of this wave ended before (${run.status}); \`--again\` makes a new one.`,
  );
  if (options.detach === true) {
    if (options.json === true) terminal.json({ run: run.id, status: run.status });
    else terminal.out(run.id);
    return;
  }
  await followToEnd(app, context, { run: run.id, json: options.json === true });
}

async function planAndStart(app: App, wave: Wave, { interrupted }: CommandContext): Promise<RunRecord> {
  const deps = {
    source: app.openSource(wave),
    target: app.openTarget(wave),
    stagingFolder: app.config.staging,
  };
  const plan = await planWave(wave, deps, interrupted);
  refuseFailedPlan(plan);
  try {
    return await startRun(plan, app);
  } catch (error) {
    // Somebody started the same wave while this one was being planned: then there is a run to go on with.
    const theirs = await findRunOfWave(app.state, wave.name);
    if (theirs === null) throw error;
    return theirs;
  }
}
