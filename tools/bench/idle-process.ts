/** Does nothing, and says when the machine let it wait: `node idle-process.ts` prints a JSON line for each standstill. */
import { watchStandstills } from './standstills.ts';

/** Nobody who asks for so little waits that long on a machine that has time. */
const LEAST_MS = 5;

watchStandstills(LEAST_MS, (standstill) => process.stdout.write(`${JSON.stringify(standstill)}\n`));
