/** A run on a terminal, as pure functions: one line per machine with stage, bar, rate and ETA. */
import pc from 'picocolors';
import { formatBytes } from '../domain/byte-size.ts';
import type { SavedError } from '../domain/errors.ts';
import type { StoredEvent } from '../domain/events.ts';
import { stepKey } from '../domain/job.ts';
import { isUnderWay, type MachineRecord, type Step } from '../domain/machine-record.ts';
import type { StepProgress } from '../state/progress-board.ts';
import { formatDuration, formatRate, formatTime } from './format.ts';
import { describeSay } from './run-facts.ts';

export type RunSnapshot = {
  machines: readonly MachineRecord[];
  progress: readonly StepProgress[];
  now: number;
};

/** Progress older than this says nothing about the rate any more. */
const STALE_MS = 15_000;
const BAR_WIDTH = 24;

export type MachineLine = {
  machine: string;
  status: MachineRecord['status'];
  /** The step it is in, as `upload`; the status where it is in none. */
  stage: string;
  doneBytes: number;
  totalBytes: number;
  /** Holes and zeros, neither read nor sent. */
  zeroBytes: number;
  bytesPerSecond: number;
  /** Since its stage began; 0 while it is in none. */
  elapsedMs: number;
  /** null: not known. */
  etaMs: number | null;
  note: string;
};

export function machineLine(record: MachineRecord, { progress, now }: RunSnapshot): MachineLine {
  const steps = isUnderWay(record.status)
    ? Object.values(record.steps).filter((step) => step.state === 'active')
    : [];
  const ofStage = Object.values(record.steps).filter((step) => step.stage === steps[0]?.stage);
  const shown = progress.filter(
    (each) => each.machine === record.machine.name && ofStage.some((step) => stepKey(step) === each.step),
  );
  const doneBytes = sum(shown.map((each) => each.doneBytes));
  const unbegun = steps.filter((step) => !shown.some((each) => each.step === stepKey(step)));
  const totalBytes = sum([
    ...shown.map((each) => each.totalBytes),
    ...unbegun.map((step) => bytesToCome(record, step)),
  ]);
  // What a finished disk said last is no news of its machine.
  const underWay = shown.filter((each) => steps.some((step) => stepKey(step) === each.step));
  const live = underWay.filter((each) => now - each.at < STALE_MS);
  const bytesPerSecond = sum(live.map((each) => each.bytesPerSecond));
  const hasRate = bytesPerSecond > 0 && totalBytes > doneBytes;
  return {
    machine: record.machine.name,
    status: record.status,
    stage: steps[0]?.stage ?? record.status,
    doneBytes,
    totalBytes,
    zeroBytes: sum(shown.map((each) => each.zeroBytes ?? 0)),
    bytesPerSecond,
    elapsedMs: elapsed(steps, now),
    etaMs: hasRate ? ((totalBytes - doneBytes) / bytesPerSecond) * 1000 : null,
    note: noteOf({ record, steps, live, now }),
  };
}

/** Of a disk whose turn has not come: else its machine would be at 100 % until then. */
function bytesToCome({ prepared }: MachineRecord, { stage, disk }: Step): number {
  return stage === 'upload' && disk !== null ? (prepared[disk]?.dataBytes ?? 0) : 0;
}

export function renderMachine(line: MachineLine, nameWidth: number): string {
  const name = line.machine.padEnd(nameWidth);
  const stage = line.stage.padEnd(9);
  if (!isUnderWay(line.status))
    return `${sign(line.status)} ${name}  ${paintStatus(line.status, stage)} ${line.note}`.trimEnd();
  // Nobody knows how far it is (the cloud imports, a guest boots): the room is the note's.
  if (line.totalBytes === 0) {
    const spent = formatDuration(line.elapsedMs).padStart(7);
    return `${sign(line.status)} ${name}  ${stage} ${spent}${line.note === '' ? '' : `  ${pc.dim(line.note)}`}`;
  }
  const rate = line.bytesPerSecond > 0 ? formatRate(line.bytesPerSecond) : '';
  const time = line.etaMs === null ? formatDuration(line.elapsedMs) : `ETA ${formatDuration(line.etaMs)}`;
  const note = line.note === '' ? '' : `  ${pc.dim(line.note)}`;
  return `${sign(line.status)} ${name}  ${stage} ${bar(line)} ${rate.padStart(9)} ${time.padStart(9)}${note}`;
}

function bar({ doneBytes, totalBytes }: MachineLine): string {
  const fraction = Math.min(1, doneBytes / totalBytes);
  const filled = Math.round(fraction * BAR_WIDTH);
  const percent = `${String(Math.floor(fraction * 100)).padStart(3)}%`;
  return `${pc.cyan('█'.repeat(filled))}${pc.dim('░'.repeat(BAR_WIDTH - filled))} ${percent}`;
}

/** The same without colours and redrawing, for logs: `17:43:01 shop-db upload 58% 120 MiB of 207 MiB, 142 MB/s, ETA 0:12`. */
export function describeLine(line: MachineLine): string {
  const parts: string[] = [];
  if (line.totalBytes > 0) {
    parts.push(
      `${Math.floor((line.doneBytes / line.totalBytes) * 100)}% ${formatBytes(line.doneBytes)} of ${formatBytes(line.totalBytes)}`,
    );
  }
  if (line.zeroBytes > 0) parts.push(`${formatBytes(line.zeroBytes)} zeros left out`);
  if (line.bytesPerSecond > 0) parts.push(formatRate(line.bytesPerSecond));
  if (line.etaMs !== null) parts.push(`ETA ${formatDuration(line.etaMs)}`);
  if (line.note !== '') parts.push(line.note);
  return `${line.machine} ${line.stage} ${parts.join(', ')}`.trimEnd();
}

/** One line for a log; null for events that the machine lines show anyway. */
export function describeEvent(event: StoredEvent, now: number = Date.now()): string | null {
  const at = formatTime(event.at, now);
  switch (event.type) {
    case 'run':
      return `${at} run ${event.run} ${event.status}`;
    case 'machine':
      // Its step, just above, has said why.
      return `${at} ${event.machine} ${event.status}${event.error === null ? '' : ` (${event.error.code})`}`;
    case 'step':
      if (event.state === 'offered') return null;
      return `${at} ${event.machine} ${event.step} ${describeStep(event)}`;
    case 'log':
      return `${at} ${event.machine} ${event.step} ${event.level === 'info' ? '' : `${event.level}: `}${event.message}`;
    case 'remark':
      return `${at} run ${event.run} ${event.level === 'info' ? '' : `${event.level}: `}${event.message}`;
    case 'operator':
      return `${at} ${event.machine ?? event.run} ${event.action} by ${event.by}${event.reason === null ? '' : ` (${event.reason})`}`;
    default:
      return event satisfies never;
  }
}

function describeStep(event: Extract<StoredEvent, { type: 'step' }>): string {
  const why = event.error === null ? '' : `: ${event.error.message}`;
  switch (event.state) {
    case 'retrying':
      return `is tried again (try ${event.try})${why}`;
    case 'failed':
      return `failed${why}`;
    case 'started':
    case 'done':
    case 'offered':
      return event.state;
  }
}

function noteOf(of: {
  record: MachineRecord;
  steps: readonly Step[];
  live: readonly StepProgress[];
  now: number;
}): string {
  const { record, steps, live, now } = of;
  switch (record.status) {
    case 'blocked':
      return `after ${record.after.join(', ')}`;
    case 'landed':
      return `${record.landing?.id ?? ''}${record.committedAt === null ? '' : ' committed'}`.trim();
    case 'held':
      if (record.hold !== null) return `held by ${describeSay(record.hold, now)}`;
      break;
    case 'rolled-back':
      return `runs at its source${record.error === null ? '' : `: ${firstLine(record.error)}`}`;
    default:
  }
  const isMoving = isUnderWay(record.status);
  if (record.error !== null && !isMoving) return firstLine(record.error);
  const waiting = steps.find((step) => step.notBefore !== null && step.notBefore > now);
  if (waiting?.error) {
    return `try ${waiting.try} in ${formatDuration((waiting.notBefore ?? now) - now)}: ${waiting.error.message.split('\n')[0]}`;
  }
  const noted = live.find((each) => each.note !== '')?.note;
  return noted ?? (record.error === null ? '' : firstLine(record.error));
}

function firstLine({ message }: SavedError): string {
  return message.split('\n')[0] ?? '';
}

function sign(status: MachineRecord['status']): string {
  switch (status) {
    case 'landed':
      return pc.green('✔');
    case 'failed':
      return pc.red('✖');
    case 'cancelled':
    case 'discarded':
      return pc.yellow('■');
    case 'held':
      return pc.yellow('‖');
    case 'rolling-back':
    case 'rolled-back':
      return pc.yellow('◀');
    case 'moving':
      return pc.cyan('▶');
    case 'blocked':
    case 'waiting':
      return pc.dim('·');
    default:
      return status satisfies never;
  }
}

function paintStatus(status: MachineRecord['status'], text: string): string {
  if (status === 'landed') return pc.green(text);
  return status === 'failed' ? pc.red(text) : text;
}

function elapsed(steps: readonly Step[], now: number): number {
  const starts = steps.flatMap((step) => step.startedAt ?? []);
  return starts.length === 0 ? 0 : Math.max(0, now - Math.min(...starts));
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
