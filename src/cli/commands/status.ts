import type { Command } from 'commander';
import { STEP_STAGES, type StepStage } from '../../domain/job.ts';
import type { MachineRecord } from '../../domain/machine-record.ts';
import type { MachineCounts, RunRecord } from '../../domain/run-record.ts';
import { findRun } from '../../operations/find-run.ts';
import type { View } from '../../view.ts';
import type { CommandContext } from '../command-context.ts';
import { formatSpan, formatTable } from '../format.ts';
import { openViewFor } from '../open-app.ts';
import { describeLine, type MachineLine, machineLine } from '../run-view.ts';

const LONGEST_NOTE = 60;

export function addStatus(program: Command, context: CommandContext): void {
  program
    .command('status')
    .argument('[run]', 'run id or wave name; without it, every run')
    .description('show the runs, or the machines of one run by stage')
    .option('--json', 'print one JSON document')
    .action(async (idOrWave: string | undefined, options: { json?: boolean }) => {
      await using view = await openViewFor(context);
      const json = options.json === true;
      if (idOrWave === undefined) await showRuns(view, context, json);
      else await showRun(view, context, { run: await findRun(view.state, idOrWave), json });
    });
}

async function showRuns(view: View, { terminal }: CommandContext, json: boolean): Promise<void> {
  const ids = await view.state.runs.list();
  const runs = (await Promise.all(ids.map((id) => view.state.runs.get(id)))).filter((run) => run !== null);
  const counted = await Promise.all(
    runs.map(async (run) => ({ ...run, counts: await view.state.machines.counts(run.id) })),
  );
  if (json) return terminal.json(counted.map(({ wave, ...run }) => ({ ...run, wave: wave.name })));
  if (counted.length === 0) return terminal.out('No run yet. Start one with `landfall run WAVE`.');
  const rows = counted.map(({ id, status, counts, createdAt, machines, archivedAt }) => [
    id,
    archivedAt === null ? status : `${status} (archived)`,
    `${counts.landed} of ${machines.length} landed`,
    describeCounts(counts),
    new Date(createdAt).toISOString(),
  ]);
  for (const line of formatTable([['RUN', 'STATUS', 'MACHINES', '', 'STARTED'], ...rows])) terminal.out(line);
}

async function showRun(
  view: View,
  { terminal }: CommandContext,
  shown: { run: RunRecord; json: boolean },
): Promise<void> {
  const { run, json } = shown;
  const machines = await view.state.machines.all(run.id, run.machines);
  const progress = await view.state.progress.read(run.id);
  const snapshot = { machines, progress, now: Date.now() };
  if (json)
    return terminal.json({ run: run.id, status: run.status, wave: run.wave.name, machines, progress });
  const stages = stagesOf(machines);
  const lines = new Map(machines.map((record) => [record, machineLine(record, snapshot)]));
  const rows = [...lines].map(([record, line]) => [
    record.machine.name,
    record.status,
    ...stages.map((stage) => stageCell(record, stage)),
    isTransfer(line) ? '' : shortNote(line),
  ]);
  terminal.out(`Run ${run.id} (${run.wave.file}): ${run.status}`);
  const head = ['MACHINE', 'STATUS', ...stages.map((stage) => stage.toUpperCase()), ''];
  for (const line of formatTable([head, ...rows])) terminal.out(line);
  for (const line of lines.values()) if (isTransfer(line)) terminal.out(`▶ ${describeLine(line)}`);
  for (const { machine, error } of machines) {
    if (error === null) continue;
    const [first = '', ...more] = error.message.split('\n');
    const rest = more.length === 0 ? '' : ` (more: \`landfall logs ${run.id} ${machine.name}\`)`;
    terminal.out(`✖ ${machine.name}: ${first}${rest}`);
  }
}

/** Those that its machines go through; the way back only where one has taken it. */
function stagesOf(machines: readonly MachineRecord[]): StepStage[] {
  const steps = machines.flatMap((record) => Object.values(record.steps));
  const shown = new Set(
    steps.filter((step) => step.stage !== 'rollback' || step.state !== 'pending').map((step) => step.stage),
  );
  return STEP_STAGES.filter((stage) => shown.has(stage));
}

/** `2 moving, 1 waiting, 1 failed`: what is not landed. */
function describeCounts(counts: MachineCounts): string {
  const shown = (['moving', 'waiting', 'failed', 'cancelled', 'discarded'] as const).filter(
    (status) => counts[status] > 0,
  );
  return shown.map((status) => `${counts[status]} ${status}`).join(', ');
}

/** Bytes, rate and time to go are told below the table, where there is room. */
function isTransfer({ status, totalBytes }: MachineLine): boolean {
  return status === 'moving' && totalBytes > 0;
}

/** Errors are told below the table. */
function shortNote({ status, note }: MachineLine): string {
  if (status !== 'moving') return status === 'landed' ? note : '';
  return note.length > LONGEST_NOTE ? `${note.slice(0, LONGEST_NOTE - 1)}…` : note;
}

/** `✔ 0:12`, `▶`, `▶ try 3`, `✖`, `·`. */
function stageCell(record: MachineRecord, stage: StepStage): string {
  const steps = Object.values(record.steps).filter((step) => step.stage === stage);
  if (steps.length === 0) return '';
  const tries = Math.max(...steps.map((step) => step.try));
  const again = tries > 1 ? ` try ${tries}` : '';
  if (steps.some((step) => step.state === 'failed')) return `✖${again}`;
  if (steps.every((step) => step.state === 'done')) {
    const began = Math.min(...steps.map((step) => step.startedAt ?? 0));
    const ended = Math.max(...steps.map((step) => step.endedAt ?? 0));
    return `✔ ${formatSpan(ended - began)}`;
  }
  return record.status === 'moving' && steps.some((step) => step.state === 'active') ? `▶${again}` : '·';
}
