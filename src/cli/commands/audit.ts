import type { Command } from 'commander';
import { formatTime } from '../../domain/local-time.ts';
import { isOnTrail } from '../../operations/audit-trail.ts';
import { findRun } from '../../operations/find-run.ts';
import type { StoredAuditEntry } from '../../state/audit-stream.ts';
import type { View } from '../../view.ts';
import type { CommandContext } from '../command-context.ts';
import { openViewFor } from '../open-app.ts';
import { describeEvent } from '../run-view.ts';

export function addAudit(program: Command, context: CommandContext): void {
  program
    .command('audit')
    .argument('[run]', 'run id or wave name; left out: what is of no run, such as pools and logins')
    .description('show who did what and why, what gates stopped, and how machines ended, in order')
    .option('--json', 'print events as NDJSON')
    .action(async (idOrWave: string | undefined, options: { json?: boolean }) => {
      const { terminal } = context;
      await using view = await openViewFor(context);
      if (idOrWave === undefined) return await showFleet(context, view, options.json === true);
      const run = await findRun(view.state, idOrWave);
      for await (const event of view.state.events.readAll(run.id, '0')) {
        if (!isOnTrail(event)) continue;
        const line = describeEvent(event);
        if (options.json === true) terminal.json(event);
        else if (line !== null) terminal.out(line);
      }
    });
}

async function showFleet({ terminal }: CommandContext, { state }: View, json: boolean): Promise<void> {
  for await (const entry of state.audit.readAll()) {
    if (json) terminal.json(entry);
    else terminal.out(describeEntry(entry));
  }
}

function describeEntry({ at, by, action, reason }: StoredAuditEntry): string {
  return `${formatTime(at, Date.now())} ${action} by ${by}${reason === null ? '' : ` (${reason})`}`;
}
