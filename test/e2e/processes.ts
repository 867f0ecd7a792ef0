/** Which processes Landfall has: all inherit LANDFALL_HOME; Redis, which overwrites its environment, works in that folder. */
import { readdir, readFile, readlink } from 'node:fs/promises';
import { join } from 'node:path';

export type LiveProcess = { pid: number; command: string };

/** Every live process of this home. */
export async function processesOf(home: string): Promise<LiveProcess[]> {
  const found: LiveProcess[] = [];
  for (const pid of await readdir('/proc')) {
    if (!/^\d+$/.test(pid)) continue;
    const environment = await readFile(join('/proc', pid, 'environ'), 'utf8').catch(() => '');
    const folder = await readlink(join('/proc', pid, 'cwd')).catch(() => '');
    const isOurs = environment.split('\0').includes(`LANDFALL_HOME=${home}`) || folder.startsWith(home);
    if (!isOurs) continue;
    const line = await readFile(join('/proc', pid, 'cmdline'), 'utf8').catch(() => '');
    if (line !== '') found.push({ pid: Number(pid), command: line.replaceAll('\0', ' ').trim() });
  }
  return found;
}

/** The Redis that `landfall up` of this home runs. Throws while there is none. */
export async function redisOf(home: string): Promise<number> {
  const redis = (await processesOf(home)).filter(({ command }) => /\bredis-server\b/.test(command));
  const [only, ...others] = redis;
  if (only === undefined || others.length > 0) throw new Error(`${home} has ${redis.length} Redis servers`);
  return only.pid;
}
