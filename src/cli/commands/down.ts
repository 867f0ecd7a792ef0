import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import { LandfallError } from '../../domain/errors.ts';
import { isHomeLocked, readUpNote } from '../../home.ts';
import { pingRedis } from '../../state/redis.ts';
import { openState } from '../../state/state.ts';
import type { CommandContext } from '../command-context.ts';

const STOP_TIMEOUT_MS = 20_000;
const LAST_MOMENT_MS = 3_000;

export function addDown(program: Command, context: CommandContext): void {
  program
    .command('down')
    .description('end the `landfall up` of this home; runs go on where they were when it is started again')
    .option('--json', 'print one JSON document')
    .action((options: { json?: boolean }) => down(context, options.json === true));
}

async function down({ terminal, ...context }: CommandContext, json: boolean): Promise<void> {
  const { home } = context.config();
  const note = await readUpNote(home);
  if (note === null) {
    if (json) return terminal.json({ home, ended: null });
    return terminal.out(`No \`landfall up\` owns ${home}.`);
  }
  const onTheMove = await countOnTheMove(note.redisUrl);
  endProcess(note.pid);
  const deadline = performance.now() + STOP_TIMEOUT_MS;
  while (await isHomeLocked(home)) {
    if (performance.now() > deadline) {
      throw new LandfallError({
        code: 'conflict',
        message: `Process ${note.pid} did not end within ${STOP_TIMEOUT_MS / 1000} s. Look at it with \`ps ${note.pid}\`; killing it is safe, its work is taken up again.`,
      });
    }
    await sleep(100, undefined, { signal: context.interrupted });
  }
  // It gave the home up a moment before it is gone itself; a dead process that nobody collects must not hold us.
  const goneBy = performance.now() + LAST_MOMENT_MS;
  while (isAlive(note.pid) && performance.now() < goneBy)
    await sleep(20, undefined, { signal: context.interrupted });
  if (json) return terminal.json({ home, ended: note.pid, onTheMove });
  terminal.out(`Ended process ${note.pid}.`);
  if (onTheMove === null || onTheMove === 0) return;
  const [machines, they] =
    onTheMove === 1 ? ['1 machine was', 'it goes'] : [`${onTheMove} machines were`, 'they go'];
  terminal.out(
    `${machines} on the move: ${they} on from there when workers serve the run again (\`landfall up\`).`,
  );
}

/** Of all runs, waiting ones too; null where Redis does not answer: then it is ended all the same. */
async function countOnTheMove(redisUrl: string): Promise<number | null> {
  try {
    await pingRedis(redisUrl);
  } catch {
    return null;
  }
  await using state = openState(redisUrl);
  const counts = await Promise.all((await state.runs.unarchived()).map((id) => state.machines.counts(id)));
  return counts.reduce((sum, { waiting, moving }) => sum + waiting + moving, 0);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

function endProcess(pid: number): void {
  try {
    process.kill(pid, 'SIGTERM');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
