/** `npm run test:peers`: explains itself where it is asked to; else runs vitest with what it was given. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';

const HELP = `Usage: npm run test:peers -- [FILE]... [VITEST OPTION]...

Holds the upload contract against servers that others wrote:
  s3   versitygw (Go), S3: uploads in parts, with its checksums on
  ebs  moto (Python), EBS direct and EC2: uploads as blocks, as far as it serves them

  npm run test:peers -- ebs    only that file

Needs golang-go (or any Go), python3-venv, and once the Go module proxy and PyPI (GOPROXY and PIP_INDEX_URL name mirrors).
The first time takes about 3 min on two cores, to build and install the peers under .landfall/peers; then 15 s and no network.
A peer that cannot be had fails its tests and says why. More: docs/architecture.md
`;

const args = process.argv.slice(2);
if (args.includes('--help') || args.includes('-h')) {
  process.stdout.write(HELP);
} else {
  const vitest = spawn('vitest', ['run', '--config', 'vitest.peers.config.ts', ...args], {
    stdio: 'inherit',
  });
  // Ctrl-C reaches the whole group; vitest ends its peers, and its status is ours.
  process.on('SIGINT', () => {});
  const [status] = (await once(vitest, 'exit')) as [number | null];
  process.exitCode = status ?? 1;
}
