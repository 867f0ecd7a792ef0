/** Sizes, rates, durations and counts as a person reads them. */

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const;
const RATE_UNITS = ['B', 'kB', 'MB', 'GB'] as const;
const SECOND_MS = 1000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** `1.4 GiB`: three digits say enough. */
export function formatBytes(bytes: number): string {
  return inUnits(bytes, UNITS, 1024);
}

/** `1.4 MB/s`: decimal, as links are sold, limits are given and commands say it. */
export function formatRate(bytesPerSecond: number): string {
  return `${inUnits(bytesPerSecond, RATE_UNITS, 1000)}/s`;
}

function inUnits(amount: number, units: readonly string[], step: number): string {
  let value = Math.max(0, amount);
  let unit = 0;
  while (value >= step - 0.5 && unit < units.length - 1) {
    value /= step;
    unit += 1;
  }
  return `${unit === 0 ? Math.round(value) : threeDigits(value)} ${units[unit]}`;
}

function threeDigits(value: number): string {
  return value.toFixed(value < 9.995 ? 2 : value < 99.95 ? 1 : 0);
}

/** `1 h 10 min`, `45 s`, `2 d 3 h`: the two largest units. */
export function formatDuration(ms: number): string {
  const left = Math.max(0, ms);
  if (left < MINUTE_MS) return `${Math.round(left / SECOND_MS) === 60 ? 59 : Math.round(left / SECOND_MS)} s`;
  if (left < HOUR_MS) return `${Math.floor(left / MINUTE_MS)} min`;
  if (left < DAY_MS) {
    const minutes = Math.floor((left % HOUR_MS) / MINUTE_MS);
    return `${Math.floor(left / HOUR_MS)} h${minutes === 0 ? '' : ` ${minutes} min`}`;
  }
  const hours = Math.floor((left % DAY_MS) / HOUR_MS);
  return `${Math.floor(left / DAY_MS)} d${hours === 0 ? '' : ` ${hours} h`}`;
}

/** `1:04:09`, for a clock that counts down. */
export function formatClock(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / SECOND_MS));
  const two = (value: number): string => String(value).padStart(2, '0');
  const hours = Math.floor(seconds / 3600);
  const rest = `${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
  return hours === 0 ? rest : `${hours}:${rest}`;
}

/** Whole percents that say 100 only when it is all, and 0 only when it is nothing. */
export function percentOf(done: number, total: number): number {
  if (total <= 0 || done <= 0) return 0;
  if (done >= total) return 100;
  return Math.min(99, Math.max(1, Math.round((done / total) * 100)));
}

/** `1 machine`, `3 machines`. */
export function count(amount: number, noun: string): string {
  return `${amount.toLocaleString('en')} ${noun}${amount === 1 ? '' : 's'}`;
}
