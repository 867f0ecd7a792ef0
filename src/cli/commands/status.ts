import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import { createLogUpdate } from 'log-update';
import { isWindowOver, lastRollbackAt, phaseOf } from '../../domain/advance-wave.ts';
import { MACHINE_STATUSES } from '../../domain/machine-record.ts';
import { isEnded, type MachineCounts, type RunRecord } from '../../domain/run-record.ts';
import { findRun } from '../../operations/find-run.ts';
import { findPaused } from '../../operations/pool-control.ts';
import { findUnserved } from '../../operations/served-pools.ts';
import { sourcesOff } from '../../operations/sources-off.ts';
import type { View } from '../../view.ts';
import type { CommandContext } from '../command-context.ts';
import { formatTable } from '../format.ts';
import { cutLine } from '../live-screen.ts';
import { openViewFor } from '../open-app.ts';
import { describeStanding, type RunStanding } from '../status-view.ts';

const REDRAW_MS = 1_000;

type StatusOptions = { watch?: boolean; json?: boolean };
type Shown = { lines: readonly string[]; document: unknown; isOver: boolean };

export function addStatus(program: Command, context: CommandContext): void {
  program
    .command('status')
    .argument('[run]', 'run id or wave name; without it, every run')
    .description('show the runs, or how one run stands and its machines by stage')
    .option('--watch', 'show it again as it changes, until the run has ended or Ctrl-C')
    .option('--json', 'print one JSON document; with --watch one for each change')
    .action(async (idOrWave: string | undefined, options: StatusOptions) => {
      await using view = await openViewFor(context);
      const look = (): Promise<Shown> =>
        idOrWave === undefined ? lookAtAll(view) : lookAtRun(view, idOrWave);
      if (options.watch === true) await showChanges(context, look, options.json === true);
      else showOnce(context, await look(), options.json === true);
    });
}

function showOnce({ terminal }: CommandContext, { lines, document }: Shown, json: boolean): void {
  if (json) terminal.json(document);
  else for (const line of lines) terminal.out(line);
}

async function showChanges(
  context: CommandContext,
  look: () => Promise<Shown>,
  json: boolean,
): Promise<void> {
  const { terminal, interrupted: signal } = context;
  const live = terminal.isInteractive && !json ? createLogUpdate(process.stdout) : null;
  let last = '';
  while (!signal.aborted) {
    const shown = await look();
    if (live !== null) live(shown.lines.map((line) => cutLine(line, terminal.columns)).join('\n'));
    // The time that is left is no change.
    const state = JSON.stringify(shown.document);
    if (live === null && state !== last) showOnce(context, shown, json);
    last = state;
    if (shown.isOver) break;
    await sleep(REDRAW_MS, undefined, { signal }).catch(() => {});
  }
  live?.done();
}

async function lookAtAll({ state }: View): Promise<Shown> {
  const ids = await state.runs.list();
  const runs = (await Promise.all(ids.map((id) => state.runs.get(id)))).filter((run) => run !== null);
  const counted = await Promise.all(
    runs.map(async (run) => ({ ...run, counts: await state.machines.counts(run.id) })),
  );
  const rows = counted.map(({ id, status, counts, createdAt, machines, archivedAt }) => [
    id,
    archivedAt === null ? status : `${status} (archived)`,
    `${counts.landed} of ${machines.length} landed`,
    describeCounts(counts),
    new Date(createdAt).toISOString(),
  ]);
  return {
    lines:
      counted.length === 0
        ? ['No run yet. Start one with `landfall run WAVE`.']
        : formatTable([['RUN', 'STATUS', 'MACHINES', '', 'STARTED'], ...rows]),
    document: counted.map(({ wave, ...run }) => ({ ...run, wave: wave.name })),
    isOver: false,
  };
}

async function lookAtRun(view: View, idOrWave: string): Promise<Shown> {
  const standing = await readStanding(view, await findRun(view.state, idOrWave));
  return {
    lines: describeStanding(standing),
    document: documentOf(standing),
    isOver: isEnded(standing.run.status),
  };
}

async function readStanding({ state }: View, run: RunRecord): Promise<RunStanding> {
  const machines = await state.machines.all(run.id, run.machines);
  const [progress, counts] = [await state.progress.read(run.id), await state.machines.counts(run.id)];
  const { site } = run.wave.source;
  const [unserved, paused] = isEnded(run.status)
    ? [[], []]
    : await Promise.all([findUnserved(state, site), findPaused(state, site)]);
  return { run, machines, progress, counts, unserved, paused, now: await state.clock.now() };
}

function documentOf({ run, machines, progress, counts, unserved, paused, now }: RunStanding): unknown {
  const { id, status, wave, window, approval, hold } = run;
  return {
    run: id,
    status,
    wave: wave.name,
    phase: phaseOf(run, now),
    isWindowOver: isWindowOver(run, now),
    window,
    lastRollbackAt: lastRollbackAt(run),
    plannedBy: run.plannedBy,
    isApprovalRequired: wave.isApprovalRequired,
    isApprovalByAnother: wave.isApprovalByAnother === true,
    approval,
    hold,
    groups: counts.groups,
    unserved,
    paused,
    sourcesOff: sourcesOff(machines),
    machines,
    progress,
  };
}

/** `2 moving, 1 waiting, 1 failed`: what is not landed. */
function describeCounts(counts: MachineCounts): string {
  const shown = MACHINE_STATUSES.filter((status) => status !== 'landed' && counts[status] > 0);
  return shown.map((status) => `${counts[status]} ${status}`).join(', ');
}
