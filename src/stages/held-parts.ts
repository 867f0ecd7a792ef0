/**
 * Which parts of a file the target holds already, so that they are never sent again. A part counts as held when the
 * target says so with the right length and with the CRC of our bytes. Our CRC comes from a checkpoint or, where there is
 * none, from reading the part again.
 */
import { randomInt } from 'node:crypto';
import type { FileParts, PartDigest } from '../blocks/file-parts.ts';
import { LandfallError } from '../domain/errors.ts';
import type { HeldPart } from '../domain/ports.ts';

export type HeldParts = {
  /** By part number: the digests of our bytes. */
  held: ReadonlyMap<number, PartDigest>;
  /** How many parts had to be read again to know. */
  readCount: number;
};

type Question = {
  parts: FileParts;
  /** What the target says. */
  claimed: ReadonlyMap<number, HeldPart>;
  /** What our checkpoints say of the same file. */
  known: ReadonlyMap<number, PartDigest>;
  signal: AbortSignal;
};

/** Beside the last one: enough to notice a file that was swapped, cheap enough for every resume. */
const SAMPLE_PARTS = 16;

/** Throws `source-changed` when a part that was sent does not equal the file any more. Memory: one part. */
export async function findHeldParts(question: Question): Promise<HeldParts> {
  const { parts, claimed, known, signal } = question;
  const plausible = [...claimed].filter(([number, part]) => isPlausible(parts, number, part));
  if (plausible.length === 0) return { held: new Map(), readCount: 0 };
  const buffer = Buffer.allocUnsafeSlow(parts.lengthOf(1));
  const held = new Map<number, PartDigest>();
  const unproven: number[] = [];
  let readCount = 0;
  for (const [number, { crc32 }] of plausible.sort(([a], [b]) => a - b)) {
    const digest = known.get(number);
    // A target that tells no CRC is believed only where our own checkpoint agrees.
    if (digest === undefined && crc32 === null) continue;
    if (digest !== undefined) {
      if (crc32 !== null && crc32 !== digest.crc32) continue;
      held.set(number, digest);
      unproven.push(number);
      continue;
    }
    const part = await parts.read({ number, buffer, signal });
    readCount += 1;
    if (part.digest.crc32 === crc32) held.set(number, part.digest);
  }
  for (const number of pickSample(unproven)) {
    const { digest } = await parts.read({ number, buffer, signal });
    readCount += 1;
    if (digest.sha256 !== held.get(number)?.sha256) throw changedUnderUs(number);
  }
  return { held, readCount };
}

function isPlausible(parts: FileParts, number: number, { bytes }: HeldPart): boolean {
  return number >= 1 && number <= parts.partCount && bytes === parts.lengthOf(number);
}

/** The last one, and up to 16 of the others at random. */
function pickSample(numbers: readonly number[]): number[] {
  const last = numbers.at(-1);
  if (last === undefined) return [];
  const others = numbers.slice(0, -1);
  const sample = [last];
  while (sample.length <= SAMPLE_PARTS && others.length > 0) {
    sample.push(...others.splice(randomInt(others.length), 1));
  }
  return sample;
}

function changedUnderUs(number: number): LandfallError {
  return new LandfallError({
    code: 'source-changed',
    message: `Part ${number} reads differently now than when it was sent, although the file looks unchanged: the disk or share that holds it may be failing. Check it, then discard the machine and retry it, which copies it afresh.`,
    context: { part: number },
  });
}
