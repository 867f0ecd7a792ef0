/**
 * `npm run demo`: moves two machines into a sandbox cloud. `-- --target azure`: into Azure's. `-- --wave weekend`: an
 * unattended weekend cutover of running machines, with `--kill-workers` under the worst of conditions, with `--dashboard` to be
 * watched in a browser. Every process that a demo starts ends with it.
 */
import { parseArgs } from 'node:util';
import { CLOUD_NAMES, findCloud } from './demo-cloud.ts';
import { moveTwoMachines } from './demo-two-machines.ts';
import { cutOverWeekend } from './demo-weekend.ts';

const EXIT_USAGE = 2;
const EXIT_INTERRUPTED = 130;

type Demo = (signal: AbortSignal) => Promise<number>;

const interruption = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.on(signal, () => interruption.abort(new Error(signal)));

try {
  const demo = chooseDemo(process.argv.slice(2));
  process.exitCode = demo === null ? EXIT_USAGE : await demo(interruption.signal);
} catch (error) {
  if (!interruption.signal.aborted) throw error;
  console.log('\nStopped. Everything the demo started has ended.');
  process.exitCode = EXIT_INTERRUPTED;
}

/** null, with a word to the operator, where the arguments name none. */
function chooseDemo(args: readonly string[]): Demo | null {
  try {
    const {
      target,
      wave,
      'kill-workers': killsWorkers,
      dashboard: hasDashboard,
    } = parseArgs({
      args: [...args],
      options: {
        target: { type: 'string' },
        wave: { type: 'string' },
        'kill-workers': { type: 'boolean', default: false },
        dashboard: { type: 'boolean', default: false },
      },
    }).values;
    const isWeekend = wave === 'weekend' || (wave === undefined && hasDashboard);
    if (isWeekend && target === undefined)
      return (signal) => cutOverWeekend({ killsWorkers, hasDashboard, signal });
    const cloud = findCloud(target ?? 'aws');
    if (wave === undefined && cloud !== null && !killsWorkers)
      return (signal) => moveTwoMachines(cloud, signal);
    console.error(`There is no demo ${JSON.stringify(args.join(' '))}.`);
  } catch (error) {
    console.error(error instanceof Error ? error.message : String(error));
  }
  console.error(
    `Usage: npm run demo [-- --target ${CLOUD_NAMES.join('|')}]\n       npm run demo -- --wave weekend [--kill-workers] [--dashboard]
       npm run demo -- --dashboard`,
  );
  return null;
}
