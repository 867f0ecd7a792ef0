/** Where a command speaks: results on stdout, remarks on stderr, one JSON document or NDJSON with --json. */

export type Terminal = {
  /** Is stdout a terminal that can be redrawn? */
  isInteractive: boolean;
  /** Changes when the window does. */
  readonly columns: number;
  /** One line of the result. */
  out(line: string): void;
  /** One line that is not part of the result. */
  remark(line: string): void;
  /** Where remarks go while stdout is redrawn, which would wipe them out; null: to stderr again. */
  divertRemarks(say: ((line: string) => void) | null): void;
  /** One JSON value on a line of its own. */
  json(value: unknown): void;
};

export function createTerminal(): Terminal {
  let divert: ((line: string) => void) | null = null;
  return {
    isInteractive: process.stdout.isTTY === true,
    get columns() {
      return process.stdout.columns ?? 100;
    },
    out: (line) => void process.stdout.write(`${line}\n`),
    remark(line) {
      if (divert !== null) divert(line);
      else process.stderr.write(`${line}\n`);
    },
    divertRemarks(say) {
      divert = say;
    },
    json: (value) => void process.stdout.write(`${JSON.stringify(value)}\n`),
  };
}
