import { type Command, InvalidArgumentError, Option } from 'commander';
import { addToken, removeToken } from '../../dashboard/access/token-file.ts';
import type { Role } from '../../dashboard/api/session.ts';
import { ROLES } from '../../dashboard/api/session.ts';
import type { CommandContext } from '../command-context.ts';

type TokenOptions = { role: Role; days?: number; replace?: boolean; remove?: boolean; json?: boolean };

const DAY_MS = 24 * 3_600_000;
const MAX_DAYS = 3_650;

export function addTokenCommand(program: Command, context: CommandContext): void {
  program
    .command('token')
    .argument('<name>', 'whose it is: the name goes into the audit trail')
    .description('make a token for the dashboard, and print it: it is kept nowhere else')
    .addOption(new Option('--role <role>', 'what its holder may do').choices(ROLES).default('viewer'))
    .option('--days <days>', 'it counts for so many days', daysOf)
    .option('--replace', 'the token that the name has ends')
    .option('--remove', 'make none: the token that the name has ends')
    .option('--json', 'print one JSON document')
    .action((name: string, options: TokenOptions) => makeToken(context, { name, options }));
}

async function makeToken(
  { config, terminal }: CommandContext,
  { name, options }: { name: string; options: TokenOptions },
): Promise<void> {
  const file = config().access.tokensFile;
  const { role, days, replace = false, remove = false, json = false } = options;
  if (remove) {
    await removeToken(file, name);
    if (json) terminal.json({ name, file, removed: true });
    else terminal.out(`${name} has no token any more. Dashboards that read ${file} heed it at once.`);
    return;
  }
  const now = new Date();
  const expires = days === undefined ? null : new Date(now.getTime() + days * DAY_MS);
  const token = await addToken(file, { name, role, expires, replaces: replace, now });
  if (json) {
    terminal.json({ name, role, token, file, expires: expires?.getTime() ?? null });
    return;
  }
  terminal.out(token);
  const until = expires === null ? '' : ` until ${expires.toISOString().slice(0, 10)}`;
  terminal.remark(
    `With it ${name} is ${role}${until}. It is shown this once: ${file} holds its digest only. A dashboard that ran without a login wants one once it is started again.`,
  );
}

function daysOf(text: string): number {
  const days = Number(text);
  if (Number.isInteger(days) && days >= 1 && days <= MAX_DAYS) return days;
  throw new InvalidArgumentError(`Expected 1 to ${MAX_DAYS} days.`);
}
