/** Which processes Landfall has: all of them inherit LANDFALL_HOME from the first. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** `PID COMMAND LINE` of every live process whose environment names this home. */
export async function processesOf(home: string): Promise<string[]> {
  const found: string[] = [];
  for (const pid of await readdir('/proc')) {
    if (!/^\d+$/.test(pid)) continue;
    const environment = await readFile(join('/proc', pid, 'environ'), 'utf8').catch(() => '');
    if (!environment.split('\0').includes(`LANDFALL_HOME=${home}`)) continue;
    const line = await readFile(join('/proc', pid, 'cmdline'), 'utf8').catch(() => '');
    if (line !== '') found.push(`${pid} ${line.replaceAll('\0', ' ').trim()}`);
  }
  return found;
}
