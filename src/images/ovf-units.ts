/** Units as OVF descriptors write them: DMTF's programmatic units, and the words of older writers. */

/** DSP0004, annex C: `byte * 2^20`; modifiers may repeat. */
const PROGRAMMATIC = /^bytes?((?:\*(?:\d+\^)?\d+)*)$/;

/** What OVF 0.9 and early hypervisors wrote; all of them meant powers of two. */
const WORDS: ReadonlyMap<string, number> = new Map([
  ['kb', 2 ** 10],
  ['kilobyte', 2 ** 10],
  ['mb', 2 ** 20],
  ['megabyte', 2 ** 20],
  ['gb', 2 ** 30],
  ['gigabyte', 2 ** 30],
  ['tb', 2 ** 40],
  ['terabyte', 2 ** 40],
]);

/** Bytes in one unit; null where the text is no unit of bytes. */
export function unitBytes(text: string): number | null {
  const compact = text.toLowerCase().replace(/\s+/g, '');
  const modifiers = PROGRAMMATIC.exec(compact)?.[1];
  if (modifiers === undefined) return WORDS.get(compact.replace(/s$/, '')) ?? null;
  const factors = modifiers.split('*').slice(1).map(factorValue);
  const bytes = factors.reduce((product, factor) => product * factor, 1);
  return Number.isSafeInteger(bytes) && bytes > 0 ? bytes : null;
}

function factorValue(text: string): number {
  const [base = '', exponent] = text.split('^');
  return exponent === undefined ? Number(base) : Number(base) ** Number(exponent);
}
