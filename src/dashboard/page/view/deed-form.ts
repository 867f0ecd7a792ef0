/** What the actions dialog holds before anything is done: may it be sent yet, and what is missing. */
import type { Preview } from '../../api/action.ts';

export const REASON_MAX_CHARS = 500;

export type DeedForm = { reason: string; typedName: string };

/** Why it cannot be sent as it stands, as a sentence; null: it can. */
export function whyNotYet(
  form: DeedForm,
  { preview, run }: { preview: Preview | null; run: string },
): string | null {
  if (preview === null) return 'What it would do is being worked out.';
  if (preview.refusal !== null) return preview.refusal;
  if (!preview.isReversible && form.typedName.trim() !== run)
    return `It cannot be taken back: type ${run} to say that this run is meant.`;
  const reason = form.reason.trim();
  if (reason === '') return 'Say why: the reason goes into the audit trail.';
  if (reason.length > REASON_MAX_CHARS)
    return `The reason is too long by ${reason.length - REASON_MAX_CHARS} characters.`;
  return null;
}

/** `2026-11-22T04:30`, as a field for a moment has it, on the viewer's own clock; null: it is none. */
export function readLocalMoment(text: string): number | null {
  const at = text === '' ? Number.NaN : new Date(text).getTime();
  return Number.isNaN(at) ? null : at;
}

export function writeLocalMoment(at: number): string {
  const moment = new Date(at);
  const two = (value: number): string => String(value).padStart(2, '0');
  const day = `${moment.getFullYear()}-${two(moment.getMonth() + 1)}-${two(moment.getDate())}`;
  return `${day}T${two(moment.getHours())}:${two(moment.getMinutes())}`;
}
