/** Types a `landfall …` command in this process, and hears what it says. */
import { createProgram } from '../../src/cli/program.ts';
import { readConfig } from '../../src/config.ts';

export type Said = { lines: string[]; remarks: string[]; json: unknown[]; exitStatus: number };

export async function typeCommand(
  at: { redisUrl: string; home: string },
  words: readonly string[],
  hear: (line: string) => void = () => {},
): Promise<Said> {
  const said: Said = { lines: [], remarks: [], json: [], exitStatus: 0 };
  const program = createProgram({
    terminal: {
      isInteractive: false,
      columns: 100,
      out(line) {
        said.lines.push(line);
        hear(line);
      },
      remark: (line) => void said.remarks.push(line),
      divertRemarks: () => {},
      json: (value) => void said.json.push(value),
    },
    config: () => readConfig({ REDIS_URL: at.redisUrl, LANDFALL_HOME: at.home }, at.home),
    interrupted: new AbortController().signal,
    exitWith(status) {
      said.exitStatus = status;
    },
  });
  await program.parseAsync(words, { from: 'user' });
  return said;
}
