/** Numbers as operators read them. */

/** `142 MB/s`: decimal, as links are sold. */
export function formatRate(bytesPerSecond: number): string {
  const mega = bytesPerSecond / 1e6;
  return `${mega >= 10 ? mega.toFixed(0) : mega.toFixed(1)} MB/s`;
}

/** `0:12`, `14:03`, `2:05:09`. */
export function formatDuration(durationMs: number): string {
  const total = Math.max(0, Math.round(durationMs / 1000));
  const [hours, minutes, seconds] = [Math.floor(total / 3600), Math.floor(total / 60) % 60, total % 60];
  const tail = `${String(seconds).padStart(2, '0')}`;
  return hours > 0 ? `${hours}:${String(minutes).padStart(2, '0')}:${tail}` : `${minutes}:${tail}`;
}

/** How long something took: `0.4 s`, `38 s`, `14:03 min`. */
export function formatSpan(durationMs: number): string {
  const seconds = durationMs / 1000;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  return seconds < 60 ? `${seconds.toFixed(0)} s` : `${formatDuration(durationMs)} min`;
}

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

/** Cells in columns as wide as their widest. */
export function formatTable(rows: readonly (readonly string[])[]): string[] {
  const columns = Math.max(0, ...rows.map((row) => row.length));
  const widths = Array.from({ length: columns }, (_none, i) =>
    Math.max(...rows.map((row) => row[i]?.length ?? 0)),
  );
  return rows.map((row) =>
    row
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}
