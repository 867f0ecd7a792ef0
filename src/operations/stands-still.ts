/** What keeps a run from starting more machines. Pure. */
import { isWindowOver, phaseOf } from '../domain/advance-wave.ts';
import { isEnded, type RunRecord, type Say } from '../domain/run-record.ts';
import { formatMoment, formatSpanUntil } from '../domain/zoned-time.ts';
import { describeSay } from './say.ts';

/** Why no machine starts now; null: nothing stands in the way, or all is over. */
export function whyNothingStarts(
  run: RunRecord,
  now: number,
  nameSay: (say: Say) => string = (say) => describeSay(say, now),
): string | null {
  const { id, hold, window, wave } = run;
  if (run.archivedAt !== null || isEnded(run.status)) return null;
  if (hold !== null) return `Held by ${nameSay(hold)}. \`landfall release ${id}\` lets it go on.`;
  const phase = phaseOf(run, now);
  const opens =
    window === null || wave.window === null || now >= window.opensAt
      ? ''
      : `opens ${formatMoment(window.opensAt, wave.window.timezone)}, in ${formatSpanUntil(window.opensAt - now)}`;
  switch (phase) {
    case 'open':
      return null;
    case 'early':
      return `Waits for its window: ${opens}. \`landfall cutover ${id} --now\` opens it at once.`;
    case 'unapproved':
      return `Waits for approval${describeApprover(run)}: \`landfall approve ${id}\`.${opens === '' ? '' : ` Its window ${opens}.`}`;
    case 'closing':
      return `Nothing begins any more: its way back would not fit into the window. \`landfall cutover ${id} --now --until 4h\` keeps it open longer.`;
    case 'over':
      return isWindowOver(run, now)
        ? `Its window has closed. \`landfall cutover ${id} --now --until 4h\` opens it again.`
        : 'Its window has closed; what has not started waits for the next one.';
    default:
      return phase satisfies never;
  }
}

/** ` by somebody else than ann@ops, who planned it`; nothing where anybody may. */
function describeApprover({ wave, plannedBy }: RunRecord): string {
  if (wave.isApprovalByAnother !== true) return '';
  return ` by somebody else than ${plannedBy ?? 'whoever'}${plannedBy === null ? ' planned it' : ', who planned it'}`;
}
