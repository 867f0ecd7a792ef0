/** What a machine does now, as one line: its stage, how far it is, its rate, and what there is to say of it. Pure. */
import { formatDuration } from '../domain/duration.ts';
import type { SavedError } from '../domain/errors.ts';
import { stepKey } from '../domain/job.ts';
import { isUnderWay, type MachineRecord, type Step } from '../domain/machine-record.ts';
import type { Say } from '../domain/run-record.ts';
import type { StepProgress } from '../state/progress-board.ts';
import { describeSay } from './say.ts';

export type RunSnapshot = {
  machines: readonly MachineRecord[];
  progress: readonly StepProgress[];
  now: number;
};

/** Progress older than this says nothing about the rate any more. */
const STALE_MS = 15_000;

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

export function machineLine(
  record: MachineRecord,
  { progress, now }: Pick<RunSnapshot, 'progress' | 'now'>,
  nameSay: (say: Say) => string = (say) => describeSay(say, now),
): MachineLine {
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
    note: noteOf({ record, steps, live, now, nameSay }),
  };
}

/** Of a disk whose turn has not come: else its machine would be at 100 % until then. */
function bytesToCome({ prepared }: MachineRecord, { stage, disk }: Step): number {
  return stage === 'upload' && disk !== null ? (prepared[disk]?.dataBytes ?? 0) : 0;
}

function noteOf(of: {
  record: MachineRecord;
  steps: readonly Step[];
  live: readonly StepProgress[];
  now: number;
  nameSay: (say: Say) => string;
}): string {
  const { record, steps, live, now, nameSay } = of;
  switch (record.status) {
    case 'blocked':
      return `after ${record.after.join(', ')}`;
    case 'landed':
      return `${record.landing?.id ?? ''}${record.committedAt === null ? '' : ' committed'}`.trim();
    case 'held':
      if (record.hold !== null) return `held by ${nameSay(record.hold)}`;
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

function elapsed(steps: readonly Step[], now: number): number {
  const starts = steps.flatMap((step) => step.startedAt ?? []);
  return starts.length === 0 ? 0 : Math.max(0, now - Math.min(...starts));
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
