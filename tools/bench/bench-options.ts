/** What the command line of `npm run bench` says. */
import { parseArgs } from 'node:util';

export type BenchOptions = {
  runs: number;
  /** null: what each bench wants. */
  sizeBytes: number | null;
  /** Names of benches; none: all. */
  only: string[];
  jsonFile: string | null;
};

const USAGE = `npm run bench -- [--only NAME]... [--runs N] [--size 256M] [--json FILE]`;
const DEFAULT_RUNS = 3;
const UNITS = { M: 2 ** 20, G: 2 ** 30 } as const;
/** Less than that is over before anything can be measured. */
const MIN_SIZE_BYTES = 16 * UNITS.M;

/** `isHelp`: the text of help.txt was asked for instead of a measurement. */
export function readBenchOptions(
  args: readonly string[],
  benches: readonly { name: string }[],
): BenchOptions | { problem: string } | { isHelp: true } {
  const names = benches.map(({ name }) => name);
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        help: { type: 'boolean', short: 'h', default: false },
        json: { type: 'string' },
        only: { type: 'string', multiple: true, default: [] },
        runs: { type: 'string', default: String(DEFAULT_RUNS) },
        size: { type: 'string' },
      },
    });
    if (values.help) return { isHelp: true };
    const unknown = values.only.find((name) => !names.includes(name));
    if (unknown !== undefined)
      throw new TypeError(`There is no bench ${unknown}; there are ${names.join(', ')}.`);
    return {
      runs: readRuns(values.runs),
      sizeBytes: values.size === undefined ? null : readSize(values.size),
      only: values.only,
      jsonFile: values.json ?? null,
    };
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    return { problem: `${error.message}\nUsage: ${USAGE}` };
  }
}

function readRuns(text: string): number {
  const runs = Number(text);
  if (Number.isInteger(runs) && runs >= 1) return runs;
  throw new TypeError(`--runs ${text} is no number of runs.`);
}

function readSize(text: string): number {
  const [, digits = '', unit = ''] = /^(\d+)([MG])$/.exec(text) ?? [];
  const bytes = Number(digits) * (UNITS[unit as keyof typeof UNITS] ?? 0);
  if (bytes >= MIN_SIZE_BYTES) return bytes;
  throw new TypeError(`--size ${text} is no size: give 16M or more, for example 256M or 2G.`);
}
