/** What an operator is offered to do to a run, or to machines of it: only what could come of something there. */
import type { Action, ActionName, Preview, Selection } from '../../api/action.ts';
import type { MachineLine, RunSummary } from '../../api/run.ts';
import type { Role } from '../../api/session.ts';
import { isOver, type MachineStatus } from '../status/words.ts';
import { count } from './sizes.ts';

export type Offer = {
  action: ActionName;
  on: Selection;
  /** What the button says. */
  label: string;
  /** It deletes, stops or cannot be taken back: not among the first that a hand falls on. */
  isGrave: boolean;
};

/** What ends the way back is for the machines that were shown, not for those that land before the click. */
export function selectionMeant(
  { action, on }: Pick<Action, 'action' | 'on'>,
  preview: Preview | null,
): Selection {
  return action === 'commit' && preview !== null && preview.machines.length > 0
    ? { kind: 'machines', names: preview.machines }
    : on;
}

export const ACTION_VERBS: Readonly<Record<ActionName, string>> = {
  approve: 'Approve',
  hold: 'Hold',
  release: 'Release',
  cutover: 'Cut over now',
  retry: 'Retry',
  cancel: 'Cancel',
  rollback: 'Roll back',
  commit: 'Commit',
  cleanup: 'Clean up',
};

const ON_THE_WAY: ReadonlySet<MachineStatus> = new Set(['blocked', 'waiting', 'moving']);
const RETRYABLE: ReadonlySet<MachineStatus> = new Set(['failed', 'cancelled', 'discarded', 'rolled-back']);
const CANCELLABLE: ReadonlySet<MachineStatus> = new Set(['blocked', 'waiting', 'moving', 'held']);
const BACK: ReadonlySet<MachineStatus> = new Set(['rolling-back', 'rolled-back', 'discarded']);

type On = { run: RunSummary; on: Selection; machines: readonly MachineLine[]; now: number };

export function offersFor(of: On): Offer[] {
  return of.on.kind === 'run' ? offersForRun(of) : offersForMachines(of);
}

/** Approving is of those who may approve, everything else of operators. */
export function roleFor(action: ActionName): Role {
  return action === 'approve' ? 'approver' : 'operator';
}

/** What is meant, as the dialog's title says it: `Roll back 3 machines of weekend-1`. */
export function sayMeant({ action, on }: Pick<Offer, 'action' | 'on'>, run: string): string {
  const verb = ACTION_VERBS[action];
  switch (on.kind) {
    case 'run':
      return `${verb}: run ${run}`;
    case 'all':
      return `${verb}: all machines of ${run}`;
    case 'failing':
      return `${verb}: all failing machines of ${run}`;
    case 'machines':
      return on.names.length === 1
        ? `${verb}: ${on.names[0]}`
        : `${verb}: ${count(on.names.length, 'machine')} of ${run}`;
    default:
      return on satisfies never;
  }
}

function offersForRun({ run, machines, now }: On): Offer[] {
  const whole = { kind: 'run' } as const;
  const all = { kind: 'all' } as const;
  const { window, approval, hold } = run;
  const isLive = !isOver(run) && run.archivedAt === null;
  const failing = machines.filter(isFailing).length;
  const uncommitted = machines.filter(isUncommitted).length;
  const isShut = window !== null && (now < window.opensAt || now >= window.closesAt);
  const canGoBack = machines.some(({ status, committedAt }) => !BACK.has(status) && committedAt === null);
  const canStop = machines.some(({ status }) => CANCELLABLE.has(status));
  const debris = machines.some(({ status }) => RETRYABLE.has(status));
  return [
    ...(isLive && approval !== null && approval.given === null
      ? [offer('approve', { on: whole, label: 'Approve' })]
      : []),
    ...(failing > 0
      ? [offer('retry', { on: { kind: 'failing' }, label: `Retry all failing (${failing})` })]
      : []),
    ...(isLive ? [holdOrRelease(hold !== null, { on: whole, what: 'the run' })] : []),
    ...(uncommitted > 0 ? [offer('commit', { on: all, label: `Commit what landed (${uncommitted})` })] : []),
    ...(isLive && isShut ? [offer('cutover', { on: whole, label: 'Cut over now' })] : []),
    ...(canStop ? [offer('cancel', { on: all, label: 'Cancel all' })] : []),
    ...(canGoBack ? [offer('rollback', { on: all, label: 'Roll back all' })] : []),
    ...(debris ? [offer('cleanup', { on: whole, label: 'Clean up leftovers' })] : []),
  ];
}

function offersForMachines({ on, machines }: On): Offer[] {
  const holdable = machines.some(({ status }) => ON_THE_WAY.has(status));
  const held = machines.some(({ status }) => status === 'held');
  return [
    ...(machines.some(canRetry) ? [offer('retry', { on, label: 'Retry' })] : []),
    ...(held ? [holdOrRelease(true, { on, what: '' })] : []),
    ...(holdable ? [holdOrRelease(false, { on, what: '' })] : []),
    ...(machines.some(isUncommitted) ? [offer('commit', { on, label: 'Commit' })] : []),
    ...(machines.some(({ status }) => CANCELLABLE.has(status))
      ? [offer('cancel', { on, label: 'Cancel' })]
      : []),
    ...(machines.some(({ status, committedAt }) => !BACK.has(status) && committedAt === null)
      ? [offer('rollback', { on, label: 'Roll back' })]
      : []),
  ];
}

function offer(action: ActionName, { on, label }: { on: Selection; label: string }): Offer {
  return { action, on, label, isGrave: GRAVE.has(action) };
}

const GRAVE: ReadonlySet<ActionName> = new Set(['cutover', 'cancel', 'rollback', 'commit', 'cleanup']);

function holdOrRelease(isHeld: boolean, { on, what }: { on: Selection; what: string }): Offer {
  const action = isHeld ? 'release' : 'hold';
  return offer(action, { on, label: `${ACTION_VERBS[action]} ${what}`.trim() });
}

/** Failed, or held since it failed: what the server means by it, too. A rollback that failed is a failed machine. */
function isFailing({ status, error }: MachineLine): boolean {
  return status === 'failed' || (status === 'held' && error !== null);
}

function canRetry(line: MachineLine): boolean {
  return RETRYABLE.has(line.status) || isFailing(line);
}

function isUncommitted({ status, committedAt }: MachineLine): boolean {
  return status === 'landed' && committedAt === null;
}
