/** How fast bytes may go, as operators write and read it. */

/** Decimal units, as links are sold; binary ones; bits, as providers count. Nothing that can be read in two ways (`Mb/s`). */
const BYTES_OF = {
  B: 1,
  kB: 1e3,
  MB: 1e6,
  GB: 1e9,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  kbit: 1e3 / 8,
  Mbit: 1e6 / 8,
  Gbit: 1e9 / 8,
} as const;

export const BYTE_RATE_PATTERN = /^(\d+(?:\.\d+)?) ?(B|kB|MB|GB|KiB|MiB|GiB|kbit|Mbit|Gbit)\/s$/;

/** Below it a single block of a disk would take ten minutes; above it nothing can be sent. */
export const MIN_BYTES_PER_SECOND = 1e3;
export const MAX_BYTES_PER_SECOND = 1e12;

export const BYTE_RATE_RULE =
  'must be a rate such as 50 MB/s, 30 MiB/s or 400 Mbit/s, from 1 kB/s to 1000 GB/s';

/** Bytes per second; null where the text is no rate within the bounds. */
export function parseByteRate(text: string): number | null {
  const [, amount, unit] = BYTE_RATE_PATTERN.exec(text) ?? [];
  if (amount === undefined || unit === undefined) return null;
  const bytesPerSecond = Math.round(Number(amount) * BYTES_OF[unit as keyof typeof BYTES_OF]);
  const isInBounds = bytesPerSecond >= MIN_BYTES_PER_SECOND && bytesPerSecond <= MAX_BYTES_PER_SECOND;
  return isInBounds ? bytesPerSecond : null;
}

/** `50 MB/s`, `1.5 MB/s`, `0.8 MB/s` as `800 kB/s`: decimal, one decimal place at most. */
export function formatByteRate(bytesPerSecond: number): string {
  const unit = bytesPerSecond >= 1e9 ? 'GB' : bytesPerSecond >= 1e6 ? 'MB' : 'kB';
  return `${(bytesPerSecond / BYTES_OF[unit]).toFixed(1).replace(/\.0$/, '')} ${unit}/s`;
}
