/** A run as `status` shows it: how it stands, machine × stage, what is transferred, what went wrong. Pure. */
import { STEP_STAGES, type StepStage } from '../domain/job.ts';
import { isUnderWay, type MachineRecord } from '../domain/machine-record.ts';
import type { RunCounts, RunRecord } from '../domain/run-record.ts';
import { type MachineLine, machineLine, type RunSnapshot } from '../operations/machine-line.ts';
import { describePaused, type PausedPool } from '../operations/pool-control.ts';
import { describeUnserved, type Unserved } from '../operations/served-pools.ts';
import { sourcesOff } from '../operations/sources-off.ts';
import { describeOff } from './describe-off.ts';
import { formatSpan, formatTable } from './format.ts';
import { describeRun } from './run-facts.ts';
import { describeLine } from './run-view.ts';

const LONGEST_NOTE = 60;

export type RunStanding = RunSnapshot & {
  run: RunRecord;
  counts: RunCounts;
  /** Pools that it needs and that nobody serves. */
  unserved: readonly Unserved[];
  /** Those of them that are paused. */
  paused: readonly PausedPool[];
};

export function describeStanding(standing: RunStanding): string[] {
  const { run, machines, counts, unserved, paused, now } = standing;
  const stages = stagesOf(machines);
  const lines = new Map(machines.map((record) => [record, machineLine(record, standing)]));
  const hasGroups = machines.some(({ plan }) => plan.group !== null);
  const rows = [...lines].map(([record, line]) => [
    record.machine.name,
    ...(hasGroups ? [record.plan.group ?? ''] : []),
    record.status,
    ...stages.map((stage) => stageCell(record, stage)),
    isTransfer(line) ? '' : shortNote(line, record),
  ]);
  const head = [
    'MACHINE',
    ...(hasGroups ? ['GROUP'] : []),
    'STATUS',
    ...stages.map((stage) => stage.toUpperCase()),
    '',
  ];
  const transfers = [...lines.values()].filter(isTransfer);
  return [
    `Run ${run.id} (${run.wave.file}): ${run.status}`,
    ...describeRun(run, counts, now),
    ...formatTable([head, ...rows]),
    ...transfers.map((line) => `▶ ${describeLine(line)}`),
    ...machines.flatMap((record) => describeError(run, record)),
    ...describeOff(run.id, sourcesOff(machines)),
    ...[...unserved.map(describeUnserved), ...paused.map(describePaused)].map(
      ({ message, remedy }) => `! ${message}. ${remedy}`,
    ),
  ];
}

function describeError({ id }: RunRecord, { machine, error, status }: MachineRecord): string[] {
  if (error === null || status === 'landed') return [];
  const [first = '', ...more] = error.message.split('\n');
  const rest = more.length === 0 ? '' : ` (more: \`landfall logs ${id} ${machine.name}\`)`;
  const sign = status === 'rolled-back' || status === 'rolling-back' ? '◀' : '✖';
  const next =
    status === 'held'
      ? ` It is held for you to decide: \`landfall retry ${id} ${machine.name}\`, or rollback, or cancel.`
      : '';
  return [`${sign} ${machine.name}: ${first}${rest}${next}`];
}

/** Those that its machines go through; the way back only where one has taken it. */
function stagesOf(machines: readonly MachineRecord[]): StepStage[] {
  const steps = machines.flatMap((record) => Object.values(record.steps));
  const shown = new Set(
    steps.filter((step) => step.stage !== 'rollback' || step.state !== 'pending').map((step) => step.stage),
  );
  return STEP_STAGES.filter((stage) => shown.has(stage));
}

/** Bytes, rate and time to go are told below the table, where there is room. */
function isTransfer({ status, totalBytes }: MachineLine): boolean {
  return isUnderWay(status) && totalBytes > 0;
}

/** Errors are told below the table. */
function shortNote({ status, note }: MachineLine, { error, hold }: MachineRecord): string {
  const isTold = error !== null && hold === null && status !== 'landed' && status !== 'blocked';
  if (isTold && !isUnderWay(status)) return '';
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
  return isUnderWay(record.status) && steps.some((step) => step.state === 'active') ? `▶${again}` : '·';
}
