import type { Command } from 'commander';
import type { Workshop } from '../../app.ts';
import { formatBytes } from '../../domain/byte-size.ts';
import { EXIT_USAGE } from '../../domain/errors.ts';
import { nextWindow } from '../../domain/next-window.ts';
import type { Wave } from '../../domain/wave.ts';
import { formatMoment, formatSpanUntil } from '../../domain/zoned-time.ts';
import { type Plan, planWave } from '../../operations/plan.ts';
import type { CommandContext } from '../command-context.ts';
import { examinePools } from '../examine-pools.ts';
import { findingLines } from '../findings.ts';
import { formatTable } from '../format.ts';
import { machineFacts } from '../machine-facts.ts';
import { openWorkshopFor } from '../open-app.ts';

export function addPlan(program: Command, context: CommandContext): void {
  program
    .command('plan')
    .argument('<wave>', 'wave file')
    .description('say what a wave would do and check source, target and this host before a byte moves')
    .option('--json', 'print the plan as one JSON document')
    .action((file: string, options: { json?: boolean }) => showPlan(context, file, options.json === true));
}

async function showPlan(context: CommandContext, file: string, json: boolean): Promise<void> {
  const { terminal } = context;
  await using workshop = await openWorkshopFor(context);
  const planned = await planFile(workshop, file, context.interrupted);
  const needs = { site: planned.wave.source.site, isControlled: planned.isControlled };
  const plan = { ...planned, findings: [...planned.findings, ...(await examinePools(context, needs))] };
  const isRefused = plan.findings.some((finding) => finding.level === 'fail');
  if (json) {
    terminal.json({
      wave: plan.wave.name,
      machines: plan.machines.map(({ machine }) => machine),
      findings: plan.findings,
      ok: !isRefused,
    });
  } else {
    for (const line of describePlan(plan)) terminal.out(line);
  }
  if (isRefused) context.exitWith(EXIT_USAGE);
}

export async function planFile(workshop: Workshop, file: string, signal: AbortSignal): Promise<Plan> {
  return planLoadedWave(workshop, await workshop.loadWave(file), signal);
}

export function planLoadedWave(workshop: Workshop, wave: Wave, signal: AbortSignal): Promise<Plan> {
  const { config, resolve } = workshop;
  const [source, target] = [workshop.openSource(wave), workshop.openTarget(wave)];
  return planWave(wave, { source, target, resolve, stagingFolder: config.staging }, signal);
}

function describePlan({ wave, machines, findings }: Plan): string[] {
  const rows = machines.map(({ machine }) => [
    `  ${machine.name}`,
    ...Object.values(machineFacts(machine)),
    machine.disks.map((disk) => `disk ${disk.id}: ${formatBytes(disk.bytes)} ${disk.format}`).join(', '),
  ]);
  const failed = findings.filter((finding) => finding.level === 'fail').length;
  const verdict =
    failed === 0
      ? `Ready: \`landfall run ${wave.file}\``
      : `Not ready: ${failed} of ${findings.length} checks failed.`;
  return [
    `Wave ${wave.name}: ${wave.machines.length} machine${wave.machines.length === 1 ? '' : 's'} from ${wave.source.kind} to ${wave.target.kind}`,
    ...describeWhen(wave),
    ...formatTable(rows),
    '',
    ...findingLines(findings),
    '',
    verdict,
  ];
}

/** When it would begin, and who must say so first. */
function describeWhen(wave: Wave): string[] {
  const { window, onOverrun, isApprovalRequired } = wave;
  const approval = isApprovalRequired ? ['Begins only once it is approved (`landfall approve`)'] : [];
  if (window === null) return approval;
  const now = Date.now();
  const next = nextWindow(window, now);
  if (next === null) return ['Its window has closed: give it a new one', ...approval];
  const { timezone } = window;
  const left = next.opensAt > now ? `opens in ${formatSpanUntil(next.opensAt - now)}` : 'open now';
  const after = onOverrun === 'rollback' ? 'goes back to its source' : 'goes on';
  return [
    `Window: ${formatMoment(next.opensAt, timezone)} to ${formatMoment(next.closesAt, timezone)} (${left}); what is not proven then ${after}`,
    ...approval,
  ];
}
