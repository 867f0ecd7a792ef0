/** Opens the app for a command, and says when Redis goes away and comes back. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type App, openApp } from '../app.ts';
import type { Config } from '../config.ts';
import { readUpNote } from '../home.ts';
import type { ConnectionNotice } from '../state/redis.ts';
import type { CommandContext } from './command-context.ts';

/** A killed `up` loses its lock a moment after its Redis. */
const LOCK_GONE_MS = 500;

export function openAppFor({ config, terminal }: CommandContext): Promise<App> {
  const settings = config();
  // One after the other: finding out why Redis is away takes longer than saying that it is back.
  let said = Promise.resolve();
  const notice: ConnectionNotice = (state, detail) => {
    said = said.then(async () =>
      terminal.remark(state === 'away' ? await describeOutage(settings, detail) : 'Redis is back; going on.'),
    );
  };
  return openApp(settings, { notice });
}

/** The embedded Redis comes back by itself only while its `up` lives. */
async function describeOutage({ home, redisUrl }: Config, detail: string): Promise<string> {
  const waiting = `Redis is away (${detail}); waiting for it.`;
  if (redisUrl !== null) return waiting;
  await sleep(LOCK_GONE_MS);
  if ((await readUpNote(home)) !== null) return waiting;
  return `The \`landfall up\` of ${home} has ended. Start it again: \`landfall up\`. Waiting for it.`;
}
