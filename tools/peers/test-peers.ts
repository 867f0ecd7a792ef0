/** `npm run test:peers`: explains itself where it is asked to; else runs vitest with what it was given. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';

/** A file, because it is shown before there is a Node that runs this: tools/with-set-up.sh. */
const HELP = new URL('help.txt', import.meta.url);

const args = process.argv.slice(2);
if (args.includes('--help') || args.includes('-h')) {
  process.stdout.write(await readFile(HELP, 'utf8'));
} else {
  const vitest = spawn('vitest', ['run', '--config', 'vitest.peers.config.ts', ...args], {
    stdio: 'inherit',
  });
  // Ctrl-C reaches the whole group; vitest ends its peers, and its status is ours.
  process.on('SIGINT', () => {});
  const [status] = (await once(vitest, 'exit')) as [number | null];
  process.exitCode = status ?? 1;
}
