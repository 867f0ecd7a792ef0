/**
 * What was seen of a landing so far. A target may keep only the console's end, and each look is a job of its own, so what
 * was seen once is kept as a checkpoint. It belongs to one landing: another one starts afresh.
 */
import type { JsonValue } from '../domain/json.ts';
import type { Landing } from '../domain/landing.ts';
import type { Checkpoints } from '../domain/ports.ts';

export type Sighting = {
  landing: string;
  /** First look (ms since the epoch): the deadline counts from here. */
  firstSeenAt: number;
  /** For each pattern of the wave, in order: the console line that met it, or null. */
  lines: readonly (string | null)[];
  /** When everything but a screenshot was proven; null: not yet. */
  provenAt: number | null;
  /** SHA-256 of what was last kept in evidence, so that only news is written; null: nothing was. */
  consoleDigest: string | null;
  screenshotDigest: string | null;
};

const KEY = 'validate';

export async function openSighting(open: {
  checkpoints: Checkpoints;
  landing: Landing;
  patternCount: number;
  now: number;
}): Promise<Sighting> {
  const { checkpoints, landing, patternCount, now } = open;
  const saved = readSaved(await checkpoints.get(KEY));
  if (saved?.landing === landing.id && saved.lines.length === patternCount) return saved;
  const sighting: Sighting = {
    landing: landing.id,
    firstSeenAt: now,
    lines: Array.from({ length: patternCount }, () => null),
    provenAt: null,
    consoleDigest: null,
    screenshotDigest: null,
  };
  await saveSighting(checkpoints, sighting);
  return sighting;
}

export async function saveSighting(checkpoints: Checkpoints, sighting: Sighting): Promise<void> {
  await checkpoints.set(KEY, { ...sighting, lines: [...sighting.lines] });
}

/** After a verdict: an operator's retry looks afresh, with a deadline of its own. */
export async function forgetSighting(checkpoints: Checkpoints): Promise<void> {
  await checkpoints.delete(KEY);
}

/** Takes up the lines that meet patterns not met before. */
export function matchLines(
  sighting: Sighting,
  { lines, expect }: { lines: readonly string[]; expect: readonly string[] },
): Sighting {
  const matched = expect.map((source, index) => {
    const before = sighting.lines[index] ?? null;
    if (before !== null) return before;
    const pattern = new RegExp(source);
    return lines.find((line) => pattern.test(line))?.trim() ?? null;
  });
  return { ...sighting, lines: matched };
}

/** Only saveSighting writes this key, so its shape is known. */
function readSaved(value: JsonValue): Sighting | null {
  return value === null ? null : (value as unknown as Sighting);
}
