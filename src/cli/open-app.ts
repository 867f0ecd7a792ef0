/**
 * Opens what a command works with, and says when Redis goes away and comes back. The adapters with their vendors' SDKs
 * take most of a second to load: only commands that use them wait for it.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { App, Workshop } from '../app.ts';
import type { Config } from '../config.ts';
import { readUpNote } from '../home.ts';
import type { ConnectionNotice } from '../state/redis.ts';
import { openView, type View } from '../view.ts';
import type { CommandContext } from './command-context.ts';

/** A killed `up` loses its lock a moment after its Redis. */
const LOCK_GONE_MS = 500;

export async function openWorkshopFor({ config }: CommandContext): Promise<Workshop> {
  const { openWorkshop } = await import('../app.ts');
  return await openWorkshop(config());
}

export async function openAppFor(context: CommandContext): Promise<App> {
  const { openApp } = await import('../app.ts');
  return await openApp(context.config(), { notice: sayOutages(context) });
}

export function openViewFor(context: CommandContext): Promise<View> {
  return openView(context.config(), sayOutages(context));
}

function sayOutages({ config, terminal }: CommandContext): ConnectionNotice {
  const settings = config();
  // One after the other: finding out why Redis is away takes longer than saying that it is back.
  let said = Promise.resolve();
  return (state, detail) => {
    said = said.then(async () =>
      terminal.remark(state === 'away' ? await describeOutage(settings, detail) : 'Redis is back; going on.'),
    );
  };
}

/** The embedded Redis comes back by itself only while its `up` lives. */
async function describeOutage({ home, redisUrl }: Config, detail: string): Promise<string> {
  const waiting = `Redis is away (${detail}); waiting for it.`;
  if (redisUrl !== null) return waiting;
  await sleep(LOCK_GONE_MS);
  if ((await readUpNote(home)) !== null) return waiting;
  return `The \`landfall up\` of ${home} has ended. Start it again: \`landfall up\`. Waiting for it.`;
}
