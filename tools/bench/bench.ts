/**
 * `npm run bench`: measures Landfall beside what one would run by hand, in turns, on this machine. Everything it starts
 * and makes is gone when it ends, also after Ctrl-C. What each bench measures: docs/performance.md
 */
import { readFile, writeFile } from 'node:fs/promises';
import { openBenchGround } from './bench-ground.ts';
import { type BenchOptions, readBenchOptions } from './bench-options.ts';
import { printHead, printRow } from './bench-print.ts';
import type { BenchRow } from './bench-row.ts';
import { BENCHES } from './benches.ts';
import { collectiveRows } from './collective-rows.ts';

/** A file, because it is shown before there is a Node that runs this: tools/with-set-up.sh. */
const HELP = new URL('help.txt', import.meta.url);
const EXIT_USAGE = 2;
const EXIT_INTERRUPTED = 130;

const interruption = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.on(signal, () => interruption.abort(new Error(signal)));

const options = readBenchOptions(process.argv.slice(2), BENCHES);
if ('isHelp' in options) {
  process.stdout.write(await readFile(HELP, 'utf8'));
} else if ('problem' in options) {
  console.error(options.problem);
  process.exitCode = EXIT_USAGE;
} else {
  try {
    await measure(options, interruption.signal);
  } catch (error) {
    if (!interruption.signal.aborted) throw error;
    console.log('\nStopped. Everything the benches started has ended.');
    process.exitCode = EXIT_INTERRUPTED;
  }
}

/** The status tells whether the benches ran, not how fast this machine is. */
async function measure(
  { runs, sizeBytes, only, jsonFile }: BenchOptions,
  signal: AbortSignal,
): Promise<void> {
  const rows: BenchRow[] = [];
  const take = (found: readonly BenchRow[]): void => {
    rows.push(...found);
    for (const row of found) printRow(row);
  };
  printHead({ runs, sizeBytes });
  {
    await using ground = await openBenchGround({ runs, sizeBytes, signal, say: (line) => console.log(line) });
    for (const bench of BENCHES) {
      if (only.length > 0 && !only.includes(bench.name)) continue;
      console.log(`\n${bench.name}: ${bench.summary}`);
      take(await bench.run(ground));
    }
    console.log('\nall workers of all benches');
    take(collectiveRows(ground.kept, ground.idle));
  }
  if (jsonFile !== null) await writeFile(jsonFile, `${JSON.stringify(rows, null, 2)}\n`);
}
