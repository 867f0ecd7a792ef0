/** Moments in the time of this host, as its operators read them. */

/** `17:43:01`; with its date where that is not today: `2026-11-21 17:43:01`. */
export function formatTime(at: number, now: number): string {
  const time = new Date(at).toTimeString().slice(0, 8);
  const date = localDate(at);
  return date === localDate(now) ? time : `${date} ${time}`;
}

function localDate(at: number): string {
  const date = new Date(at);
  const [month, day] = [date.getMonth() + 1, date.getDate()].map((part) => String(part).padStart(2, '0'));
  return `${date.getFullYear()}-${month}-${day}`;
}
