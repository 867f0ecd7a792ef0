/** Opens the app for a command, and says when Redis goes away and comes back. */
import { type App, openApp } from '../app.ts';
import type { CommandContext } from './command-context.ts';

export function openAppFor({ config, terminal }: CommandContext): Promise<App> {
  return openApp(config(), (state, detail) =>
    terminal.remark(
      state === 'away' ? `Redis is away (${detail}); waiting for it.` : 'Redis is back; going on.',
    ),
  );
}
