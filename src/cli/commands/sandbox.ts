import { once } from 'node:events';
import { join, resolve } from 'node:path';
import { type Command, InvalidArgumentError } from 'commander';
import type { Config } from '../../config.ts';
import { LandfallError } from '../../domain/errors.ts';
import { createLog, type Log } from '../../log.ts';
import type { CommandContext } from '../command-context.ts';

type SandboxOptions = {
  azure?: boolean;
  port?: number;
  folder?: string;
  seed?: boolean;
  json?: boolean;
};

const AWS_PORT = 4566;
/** The identity endpoint takes the next one. */
const AZURE_PORT = 4567;

export function addSandbox(program: Command, context: CommandContext): void {
  program
    .command('sandbox')
    .description(
      'serve a look-alike cloud on localhost that imports and boots for real: AWS (S3, EC2, EBS direct, STS, IAM), or Azure with --azure',
    )
    .option(
      '--azure',
      'serve Azure instead of AWS (Resource Manager, managed disks, virtual machines) over TLS',
    )
    .option('--port <port>', `TCP port (default ${AWS_PORT}, Azure ${AZURE_PORT}); 0 takes a free one`, port)
    .option('--folder <folder>', 'where its state lives (default LANDFALL_HOME/sandbox, or sandbox-azure)')
    .option('--no-seed', 'start without the demo bucket and the vmimport role')
    .option('--json', 'print where it listens as one JSON line')
    .action((options: SandboxOptions) =>
      options.azure === true ? serveAzure(context, options) : serveAws(context, options),
    );
}

async function serveAws(context: CommandContext, options: SandboxOptions): Promise<void> {
  const { interrupted, terminal } = context;
  const config = context.config();
  const log = openLog(context, options);
  const { seedDemo } = await import('../../sandbox/seed.ts');
  const { startSandbox } = await import('../../sandbox/server.ts');
  const folder = folderOf(options, config, 'sandbox');
  await using sandbox = await startSandbox({ folder, port: options.port ?? AWS_PORT, log });
  if (options.seed !== false) await seedDemo(sandbox);
  if (options.json === true) {
    terminal.json({ url: sandbox.url, environment: sandbox.environment });
  } else {
    terminal.out(`The sandbox cloud listens at ${sandbox.url} (state in ${folder}). In another shell:`);
    for (const [name, value] of Object.entries(sandbox.environment)) {
      terminal.out(`export ${name}=${value}`);
    }
  }
  if (!interrupted.aborted) await once(interrupted, 'abort');
}

async function serveAzure(context: CommandContext, options: SandboxOptions): Promise<void> {
  const { interrupted, terminal } = context;
  if (options.seed === false) {
    throw new LandfallError({
      code: 'usage',
      message: '`landfall sandbox --azure` does not take --no-seed: it is of the look-alike AWS.',
    });
  }
  const config = context.config();
  const log = openLog(context, options);
  const { startAzureSandbox } = await import('../../sandbox/azure/server.ts');
  const folder = folderOf(options, config, 'sandbox-azure');
  await using sandbox = await startAzureSandbox({ folder, port: options.port ?? AZURE_PORT, log });
  const { url, environment } = sandbox;
  if (options.json === true) {
    terminal.json({ url, environment });
  } else {
    terminal.out(`The sandbox's Azure listens at ${url} (state in ${folder}). In another shell:`);
    for (const [name, value] of Object.entries(environment)) terminal.out(`  export ${name}=${value}`);
  }
  const over = AbortSignal.any([interrupted, sandbox.gone]);
  if (!over.aborted) await once(over, 'abort');
  if (interrupted.aborted) return;
  throw new LandfallError({
    code: 'tool-failed',
    message: `Azurite, which keeps the sandbox's disks, ended by itself, and the sandbox with it. Start it again: its state is in ${folder}.`,
  });
}

/** With --json, standard output is for the one line that programs read. */
function openLog({ config, terminal }: CommandContext, { json = false }: SandboxOptions): Log {
  return createLog(config().logLevel, { isTerminal: terminal.isInteractive && !json, onStderr: json });
}

function folderOf({ folder }: SandboxOptions, { home }: Config, name: string): string {
  return folder === undefined ? join(home, name) : resolve(folder);
}

function port(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 0 || value > 65535)
    throw new InvalidArgumentError('Give a port from 0 to 65535.');
  return value;
}
