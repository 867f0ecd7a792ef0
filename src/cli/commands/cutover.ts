import type { Command } from 'commander';
import { LandfallError } from '../../domain/errors.ts';
import { isControlled, type MachineRecord } from '../../domain/machine-record.ts';
import type { RunRecord } from '../../domain/run-record.ts';
import { formatMoment, parseUntil } from '../../domain/zoned-time.ts';
import { findRun } from '../../operations/find-run.ts';
import { openWindowNow, windowOf } from '../../operations/steer-run.ts';
import type { CommandContext } from '../command-context.ts';
import { ensureUp } from '../ensure-up.ts';
import { openAppFor } from '../open-app.ts';
import { asOperator } from '../operator-name.ts';
import { describeWindow } from '../run-facts.ts';

type CutoverOptions = { now?: boolean; until?: string; reason?: string; json?: boolean };

export function addCutover(program: Command, context: CommandContext): void {
  program
    .command('cutover')
    .argument('<run>', 'run id or wave name')
    .description("open a run's window now instead of waiting for it, or let an open one close later")
    .option('--now', 'say that it is meant: machines are shut down at their source from now on')
    .option(
      '--until <time>',
      "when it closes: 6h, 90m, 04:00, 2026-11-29T04:00 in the wave's zone; else as planned",
    )
    .option('--reason <text>', 'kept in the audit trail')
    .option('--json', 'print one JSON document')
    .action((idOrWave: string, options: CutoverOptions) => cutOver(context, idOrWave, options));
}

async function cutOver(context: CommandContext, idOrWave: string, options: CutoverOptions): Promise<void> {
  const { terminal } = context;
  await using app = await openAppFor(context);
  const { state } = app;
  const before = await findRun(state, idOrWave);
  const machines = await state.machines.all(before.id, before.machines);
  const { timezone } = windowOf(before);
  if (options.now !== true) throw notMeant(before, machines);
  const closesAt = readUntil(options.until, { now: await state.clock.now(), timezone });
  const { run, isChanged } = await openWindowNow(
    { run: before, reason: options.reason ?? null, closesAt },
    asOperator(app),
  );
  await ensureUp(context, run.wave);
  if (options.json === true) return terminal.json({ run: run.id, status: run.status, window: run.window });
  const closes = formatMoment(run.window?.closesAt ?? 0, timezone);
  terminal.out(
    isChanged
      ? `The window of ${run.id} is open now, until ${closes}. ${describeEffect(run, machines)}`
      : `The window of ${run.id} is open already, until ${closes}.`,
  );
  for (const line of describeWindow(run, await state.clock.now())) terminal.out(line);
}

/** Throws `usage`. */
function readUntil(text: string | undefined, of: { now: number; timezone: string }): number | null {
  if (text === undefined) return null;
  const at = parseUntil(text, of);
  if (at !== null && at > of.now) return at;
  throw new LandfallError({
    code: 'usage',
    message:
      at === null
        ? `--until ${JSON.stringify(text)} is no time: give a span (6h, 90m), a time of day (04:00), or 2026-11-29T04:00 in the wave's zone (${of.timezone}).`
        : `--until ${text} has passed: it is ${formatMoment(of.now, of.timezone)} now.`,
  });
}

/** What follows from an open window. */
function describeEffect(run: RunRecord, machines: readonly MachineRecord[]): string {
  const { approval, wave, hold, id } = run;
  if (wave.isApprovalRequired && approval === null)
    return `Nothing moves yet: the run waits for approval (\`landfall approve ${id}\`).`;
  if (hold !== null) return `Nothing moves yet: the run is held (\`landfall release ${id}\`).`;
  return `${describeMoves(run, machines)} \`landfall hold ${id}\` stops more from beginning.`;
}

function describeMoves({ wave }: RunRecord, machines: readonly MachineRecord[]): string {
  const waiting = machines.filter(({ status }) => status === 'waiting' || status === 'blocked');
  if (waiting.length === 0) return 'No machine waits for it.';
  const off = waiting.filter((record) => isControlled(record)).length;
  const atOnce = Math.min(wave.limits.machines, waiting.length);
  const what = off === 0 ? 'moved' : 'shut down at their source and moved';
  return `${waiting.length} machine${waiting.length === 1 ? ' is' : 's are'} ${what}, at most ${atOnce} at once, in the order that the wave says.`;
}

function notMeant(run: RunRecord, machines: readonly MachineRecord[]): LandfallError {
  return new LandfallError({
    code: 'usage',
    message: `This would open the window of ${run.id} now. ${describeMoves(run, machines)} Say that it is meant: \`landfall cutover ${run.id} --now\`.`,
    context: { run: run.id },
  });
}
