/** Where a command speaks: results on stdout, remarks on stderr, one JSON document or NDJSON with --json. */

export type Terminal = {
  /** Is stdout a terminal that can be redrawn? */
  isInteractive: boolean;
  columns: number;
  /** One line of the result. */
  out(line: string): void;
  /** One line that is not part of the result. */
  remark(line: string): void;
  /** One JSON value on a line of its own. */
  json(value: unknown): void;
};

export function createTerminal(): Terminal {
  return {
    isInteractive: process.stdout.isTTY === true,
    columns: process.stdout.columns ?? 100,
    out: (line) => void process.stdout.write(`${line}\n`),
    remark: (line) => void process.stderr.write(`${line}\n`),
    json: (value) => void process.stdout.write(`${JSON.stringify(value)}\n`),
  };
}
