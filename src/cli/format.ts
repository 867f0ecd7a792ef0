/** Numbers as operators read them. */
import { formatDuration } from '../domain/duration.ts';

/** `142 MB/s`: decimal, as links are sold. */
export function formatRate(bytesPerSecond: number): string {
  const mega = bytesPerSecond / 1e6;
  return `${mega >= 10 ? mega.toFixed(0) : mega.toFixed(1)} MB/s`;
}

/** How long something took: `0.4 s`, `38 s`, `14:03 min`. */
export function formatSpan(durationMs: number): string {
  const seconds = durationMs / 1000;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  return seconds < 60 ? `${seconds.toFixed(0)} s` : `${formatDuration(durationMs)} min`;
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
