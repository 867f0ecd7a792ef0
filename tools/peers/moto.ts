/**
 * moto: look-alikes of AWS in Python, by its community. Of what Landfall needs it serves EBS direct, and snapshots, tags
 * and instances of EC2; no VM import, no checks of checksums.
 * https://docs.getmoto.org/
 */
import { copyFile, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runTool } from '../../src/processes/child.ts';
import { provideFolder } from '../estate/cached-folder.ts';
import { type PeerOptions, runRegistryTool } from './registry-tool.ts';
import { type RunningPeer, startPeer } from './running-peer.ts';

const REQUIREMENTS = join(import.meta.dirname, 'moto-requirements.txt');

/** Installs it from PyPI into a virtual environment, once: less than a minute. Gives the environment's Python. */
export async function provideMoto({ cacheFolder, signal, log }: PeerOptions): Promise<string> {
  const requirements = await readFile(REQUIREMENTS, 'utf8');
  const version = /^moto\S*==(\S+)/m.exec(requirements)?.[1] ?? 'of no pinned version';
  const folder = join(cacheFolder, 'moto');
  await provideFolder({
    folder,
    // A virtual environment is good for the Python that made it.
    recipe: `${await pythonVersion(signal)}\n${requirements}`,
    signal,
    build: async (partial) => {
      log(`Installing moto ${version} from PyPI.`);
      await installIn(partial, signal);
    },
  });
  log(`moto ${version} is in ${folder}.`);
  return join(folder, 'bin', 'python3');
}

/** Keeps everything in memory. */
export async function startMoto(of: { python: string; signal: AbortSignal }): Promise<RunningPeer> {
  return startPeer({
    name: 'moto',
    command: of.python,
    // Not bin/moto_server: pip writes into it the path of the folder where the environment was made.
    argsFor: (port) => ['-m', 'moto.server', '-H', '127.0.0.1', '-p', String(port)],
    environment: { MOTO_EC2_LOAD_DEFAULT_AMIS: 'false' },
    readyPath: '/moto-api/',
    signal: of.signal,
  });
}

async function installIn(folder: string, signal: AbortSignal): Promise<void> {
  await runRegistryTool('moto', { command: 'python3', args: ['-m', 'venv', folder], signal });
  const pip = ['-m', 'pip', 'install', '--disable-pip-version-check', '--no-deps', '--only-binary=:all:'];
  const requirements = join(folder, 'requirements.txt');
  await copyFile(REQUIREMENTS, requirements);
  await runRegistryTool('moto', {
    command: join(folder, 'bin', 'python3'),
    args: [...pip, '--quiet', '--requirement', requirements],
    signal,
  });
}

async function pythonVersion(signal: AbortSignal): Promise<string> {
  const { stdout } = await runTool({ command: 'python3', args: ['-VV'], signal });
  return stdout.trim();
}
