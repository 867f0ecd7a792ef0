import type { Command } from 'commander';
import type { Workshop } from '../../app.ts';
import { formatBytes } from '../../domain/byte-size.ts';
import { EXIT_USAGE } from '../../domain/errors.ts';
import { nextWindow } from '../../domain/next-window.ts';
import type { Wave } from '../../domain/wave.ts';
import { formatMoment, formatSpanUntil } from '../../domain/zoned-time.ts';
import { findRunOfWave } from '../../operations/find-run.ts';
import { acceptOwnLandings, type Plan, planWave } from '../../operations/plan.ts';
import type { CommandContext } from '../command-context.ts';
import { examinePools } from '../examine-pools.ts';
import { findingLines } from '../findings.ts';
import { formatTable } from '../format.ts';
import { machineFacts } from '../machine-facts.ts';
import { openWorkshopFor } from '../open-app.ts';
import { hasRecords, openRecords } from '../open-records.ts';

type PlanOptions = { verbose?: boolean; json?: boolean };

/** A longer list would push what matters off the screen. */
const LISTED_MACHINES = 20;

export function addPlan(program: Command, context: CommandContext): void {
  program
    .command('plan')
    .argument('<wave>', 'wave file')
    .description('say what a wave would do and check source, target and this host before a byte moves')
    .option('--verbose', 'list every machine and every check, also what is well')
    .option('--json', 'print the plan as one JSON document')
    .action((file: string, options: PlanOptions) => showPlan(context, file, options));
}

async function showPlan(context: CommandContext, file: string, options: PlanOptions): Promise<void> {
  const { terminal } = context;
  await using workshop = await openWorkshopFor(context);
  const planned = await planFile(context, workshop, file);
  const plan = {
    ...planned,
    findings: [...planned.findings, ...(await examinePools(context, planned.wave.source.site))],
  };
  const isRefused = plan.findings.some((finding) => finding.level === 'fail');
  if (options.json === true) {
    terminal.json({
      wave: plan.wave.name,
      machines: plan.machines.map(({ machine }) => machine),
      findings: plan.findings,
      ok: !isRefused,
    });
  } else {
    for (const line of describePlan(plan, options.verbose === true)) terminal.out(line);
  }
  if (isRefused) context.exitWith(EXIT_USAGE);
}

export async function planFile(context: CommandContext, workshop: Workshop, file: string): Promise<Plan> {
  const plan = await planLoadedWave(workshop, await workshop.loadWave(file), context.interrupted);
  // Without a landing in the way nobody needs the records: `plan` does without Redis.
  if (plan.findings.every(({ landedBy }) => landedBy === undefined)) return plan;
  if (!(await hasRecords(context.config()))) return plan;
  await using app = await openRecords(context);
  const run = await findRunOfWave(app.state, plan.wave.name);
  return run === null ? plan : acceptOwnLandings(plan, run.id);
}

export function planLoadedWave(workshop: Workshop, wave: Wave, signal: AbortSignal): Promise<Plan> {
  const { config, resolve } = workshop;
  const [source, target] = [workshop.openSource(wave), workshop.openTarget(wave)];
  return planWave(wave, { source, target, resolve, stagingFolder: config.staging }, signal);
}

export function describePlan({ wave, machines, findings }: Plan, isVerbose: boolean): string[] {
  const listed = isVerbose ? machines : machines.slice(0, LISTED_MACHINES);
  const rows = listed.map(({ machine }) => [
    `  ${machine.name}`,
    ...Object.values(machineFacts(machine)),
    machine.disks.map((disk) => `disk ${disk.id}: ${formatBytes(disk.bytes)} ${disk.format}`).join(', '),
  ]);
  const failed = findings.filter((finding) => finding.level === 'fail').length;
  const more = machines.length - listed.length;
  const verdict =
    failed === 0
      ? `Ready: \`landfall run ${wave.file}\``
      : `Not ready: ${failed} of ${findings.length} checks failed.`;
  return [
    `Wave ${wave.name}: ${wave.machines.length} machine${wave.machines.length === 1 ? '' : 's'} from ${wave.source.kind} to ${wave.target.kind}`,
    ...describeWhen(wave),
    ...formatTable(rows),
    ...(more > 0 ? [`  and ${more} more (--verbose lists them)`] : []),
    '',
    ...findingLines({ findings, machines: wave.machines.map(({ name }) => name), isVerbose }),
    '',
    verdict,
  ];
}

/** When it would begin, and who must say so first. */
function describeWhen(wave: Wave): string[] {
  const { window, onOverrun, isApprovalRequired, isApprovalByAnother } = wave;
  const by = isApprovalByAnother === true ? ' by somebody else than whoever runs it' : '';
  const approval = isApprovalRequired ? [`Begins only once it is approved${by} (\`landfall approve\`)`] : [];
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
