/** workflows/demo-weekend.yaml, with a window that opens soon. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Temporal } from 'temporal-polyfill';

const WAVE = join(import.meta.dirname, '..', '..', 'workflows', 'demo-weekend.yaml');
const STAYS_OPEN_SECONDS = 900;

export async function openSoon({ opensInSeconds }: { opensInSeconds: number }): Promise<string> {
  const now = Temporal.Now.zonedDateTimeISO('UTC').round({ smallestUnit: 'second', roundingMode: 'ceil' });
  const local = (seconds: number): string => now.add({ seconds }).toPlainDateTime().toString();
  return (await readFile(WAVE, 'utf8'))
    .replace(/^( +opens:) .*$/m, `$1 '${local(opensInSeconds)}'`)
    .replace(/^( +closes:) .*$/m, `$1 '${local(opensInSeconds + STAYS_OPEN_SECONDS)}'`);
}
