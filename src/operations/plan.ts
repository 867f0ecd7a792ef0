/** What would happen: reads the machines of a wave from their source and asks source, target and this host whether all is well. */
import { LandfallError } from '../domain/errors.ts';
import { mergeFindings } from '../domain/merge-findings.ts';

import { nextWindow } from '../domain/next-window.ts';
import type { Finding, PlannedMachine, Source, Target } from '../domain/ports.ts';
import type { Wave, WaveMachine } from '../domain/wave.ts';
import { formatMoment } from '../domain/zoned-time.ts';
import { checkMachines } from '../stages/preflight.ts';
import { checkOrder, selectMachines } from './expand-wave.ts';
import { checkHooksAndNotices } from './plan-hooks.ts';

export type Plan = {
  wave: Wave;
  machines: readonly PlannedMachine[];
  findings: readonly Finding[];
  /** Can the source turn its machines off and on? */
  isControlled: boolean;
};

export type PlanDeps = {
  source: Source;
  target: Target;
  stagingFolder: string;
  /** Puts the environment's values where a plan says `${env:NAME}`; the plan itself keeps the references. */
  resolve: (plan: WaveMachine) => WaveMachine;
};

/** Finds every problem it can instead of stopping at the first. */
export async function planWave(wave: Wave, deps: PlanDeps, signal: AbortSignal): Promise<Plan> {
  const { machines, findings } = await selectMachines(wave, deps, signal);
  findings.push(...checkOrder(wave, machines), ...checkWindow(wave, Date.now()));
  const { source, target, stagingFolder } = deps;
  const planned = machines.map(({ wave: plan, machine }) => ({ wave: deps.resolve(plan), machine }));
  findings.push(
    ...(await checkMachines({
      planned: machines,
      target,
      stagingFolder,
      machinesAtOnce: wave.limits.machines,
    })),
  );
  findings.push(...((await source.preflight?.(planned, signal)) ?? []));
  findings.push(...(await target.preflight(planned, signal)));
  const expanded = { ...wave, machines: machines.map(({ wave: plan }) => plan) };
  const isControlled = source.control !== undefined;
  findings.push(...checkHooksAndNotices({ wave, machines, isControlled, environment: process.env }));
  return { wave: expanded, machines, findings, isControlled };
}

/**
 * The plan of a wave whose current run is `run`: what that run landed stands in nobody's way, since `landfall run` goes on
 * with it. (A new run would meet it: that one is refused.)
 */
export function acceptOwnLandings(plan: Plan, run: string): Plan {
  const findings = plan.findings.map((finding): Finding => {
    if (finding.landedBy !== run) return finding;
    const { subject } = finding;
    const message = `this is the wave's own landing (run ${run})`;
    const remedy = `Nothing is to be done: \`landfall run\` goes on with ${run}. For a new run (\`--again\`) it would be in the way; \`landfall run --again\` then says what can be done.`;
    return { level: 'warn', subject, message, remedy, landedBy: run };
  });
  return { ...plan, findings };
}

/** Throws `preflight-refused` with every failed finding. */
export function refuseFailedPlan(plan: Plan): void {
  const failed = plan.findings.filter((finding) => finding.level === 'fail');
  if (failed.length === 0) return;
  const names = plan.wave.machines.map(({ name }) => name);
  const lines = mergeFindings(failed, names).map(
    ({ subject, message, remedy }) =>
      `  ${subject}: ${remedy === null ? message : `${asSentence(message)} ${remedy}`}`,
  );
  throw new LandfallError({
    code: 'preflight-refused',
    message: `Wave ${plan.wave.name} was not started, ${failed.length === 1 ? 'one check' : `${failed.length} checks`} failed:\n${lines.join('\n')}`,
    context: { findings: failed.length },
  });
}

function asSentence(text: string): string {
  return /[.!?]$/.test(text) ? text : `${text}.`;
}

function checkWindow({ window }: Wave, now: number): Finding[] {
  if (window === null) return [];
  const next = nextWindow(window, now);
  if (next !== null) {
    const message = `opens ${formatMoment(next.opensAt, window.timezone)}, closes ${formatMoment(next.closesAt, window.timezone)}`;
    return [{ level: 'ok', subject: 'window', message, remedy: null }];
  }
  const when =
    window.kind === 'once'
      ? `closed at ${window.closes} (${window.timezone})`
      : 'never opens: `except` leaves no day';
  return [
    {
      level: 'fail',
      subject: 'window',
      message: when,
      remedy: 'Give the wave a window that is still to come.',
    },
  ];
}
