import { once } from 'node:events';
import { join, resolve } from 'node:path';
import { type Command, InvalidArgumentError } from 'commander';
import { createLog } from '../../log.ts';
import type { CommandContext } from '../command-context.ts';

type SandboxOptions = { port: number; folder?: string; seed?: boolean; ebsDrop?: boolean; json?: boolean };

export function addSandbox(program: Command, context: CommandContext): void {
  program
    .command('sandbox')
    .description(
      'serve a look-alike AWS (S3, EC2, EBS direct, STS, IAM) on localhost that imports and boots for real',
    )
    .option('--port <port>', 'TCP port; 0 takes a free one', port, 4566)
    .option('--folder <folder>', 'where its state lives (default LANDFALL_HOME/sandbox)')
    .option('--no-seed', 'start without the demo bucket and the vmimport role')
    .option('--ebs-drop', 'check the blocks sent to EBS direct and throw them away, to measure the sender')
    .option('--json', 'print where it listens as one JSON line')
    .action((options: SandboxOptions) => serve(context, options));
}

async function serve(context: CommandContext, options: SandboxOptions): Promise<void> {
  const { interrupted, terminal } = context;
  const config = context.config();
  const isJson = options.json === true;
  const log = createLog(config.logLevel, {
    isTerminal: terminal.isInteractive && !isJson,
    onStderr: isJson,
  });
  const { seedDemo } = await import('../../sandbox/seed.ts');
  const { startSandbox } = await import('../../sandbox/server.ts');
  const folder = options.folder === undefined ? join(config.home, 'sandbox') : resolve(options.folder);
  await using sandbox = await startSandbox({
    folder,
    port: options.port,
    log,
    dropsEbsBlocks: options.ebsDrop === true,
  });
  if (options.seed !== false) await seedDemo(sandbox);
  if (isJson) {
    terminal.json({ url: sandbox.url, environment: sandbox.environment });
  } else {
    terminal.out(`The sandbox cloud listens at ${sandbox.url} (state in ${folder}). In another shell:`);
    for (const [name, value] of Object.entries(sandbox.environment)) {
      terminal.out(`export ${name}=${value}`);
    }
  }
  if (!interrupted.aborted) await once(interrupted, 'abort');
}

function port(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 0 || value > 65535)
    throw new InvalidArgumentError('Give a port from 0 to 65535.');
  return value;
}
