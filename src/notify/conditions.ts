/** What no event says: that approval is wanted, and that a window closes over machines that are not proven. */
import { lastRollbackAt, phaseOf } from '../domain/advance-wave.ts';
import { isUnderWay, type MachineRecord } from '../domain/machine-record.ts';
import type { RunRecord } from '../domain/run-record.ts';
import { formatMoment } from '../domain/zoned-time.ts';
import type { State } from '../state/state.ts';
import { type Happening, isOpenRun } from './notice.ts';

/** Records are read so many at once: those of ten thousand machines would hold up everything else. */
const PAGE = 100;

export function approvalWanted(run: RunRecord, now: number): Happening | null {
  if (!isOpenRun(run) || phaseOf(run, now) !== 'unapproved') return null;
  const { window, wave } = run;
  const opens =
    window === null || wave.window === null
      ? ''
      : ` Its window opens ${formatMoment(window.opensAt, wave.window.timezone)}.`;
  const by = wave.isApprovalByAnother === true ? ` by somebody else than ${run.plannedBy}` : '';
  return {
    topic: 'approval-wanted',
    id: 'approval-wanted',
    at: now,
    machine: null,
    text: `Run ${run.id} of ${run.machines.length} machines waits for approval${by}.${opens} \`landfall approve ${run.id}\` lets it begin.`,
  };
}

/** null: not yet, not any more, or nothing is at risk. */
export async function windowAtRisk(
  { state, run }: { state: State; run: RunRecord },
  now: number,
): Promise<Happening | null> {
  const { window, wave } = run;
  const last = lastRollbackAt(run);
  if (!isOpenRun(run) || window === null || wave.window === null || last === null) return null;
  if (now < last || now >= window.closesAt) return null;
  const names = await unprovenMachines(state, run);
  if (names.length === 0) return null;
  const what =
    wave.onOverrun === 'rollback'
      ? 'What is not proven then is rolled back, which will not be done in time'
      : 'What is on the move goes on after it';
  return {
    topic: 'window-at-risk',
    id: `window-at-risk ${window.closesAt}`,
    at: now,
    machine: names.length === 1 ? (names[0] ?? null) : null,
    text: `${names.length} of the machines of run ${run.id} are not proven, and the window closes ${formatMoment(window.closesAt, wave.window.timezone)}: ${names.slice(0, 20).join(', ')}${names.length > 20 ? ' …' : ''}. ${what}. \`landfall cutover ${run.id} --now --until 2h\` keeps it open longer.`,
  };
}

async function unprovenMachines(state: State, run: RunRecord): Promise<string[]> {
  const counts = await state.machines.counts(run.id);
  if (counts.moving + counts['rolling-back'] + counts.held === 0) return [];
  const names: string[] = [];
  for (let at = 0; at < run.machines.length; at += PAGE) {
    const page = await state.machines.all(run.id, run.machines.slice(at, at + PAGE));
    names.push(...page.filter(isUnproven).map(({ machine }) => machine.name));
  }
  return names;
}

function isUnproven({ status, steps, startedAt }: MachineRecord): boolean {
  if (startedAt === null || (!isUnderWay(status) && status !== 'held')) return false;
  return status === 'rolling-back' || steps.validate?.state !== 'done';
}
