/**
 * A Go that is new enough: the machine's own, or a toolchain from the Go module proxy, which the machine's own fetches as
 * it does any module and checks against the checksum database. Debian 12's Go 1.19 can do that too.
 * https://go.dev/doc/toolchain
 */
import { chmod, copyFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { LandfallError } from '../../src/domain/errors.ts';
import { runTool } from '../../src/processes/child.ts';
import { provideFolder } from '../estate/cached-folder.ts';
import { type PeerOptions, runRegistryTool } from './registry-tool.ts';

const TOOLCHAIN = '1.26.8';

/** Beside `runRegistryTool`'s: the machine's Go fetches nothing by itself, and what it fetches can be removed. */
export const GO_ENVIRONMENT = { GOTOOLCHAIN: 'local', GOFLAGS: '-modcacherw' } as const;

/** `wanted`: the least version, as in a `go.mod`. Gives the command to run. */
export async function provideGo(peer: string, wanted: string, options: PeerOptions): Promise<string> {
  const own = await ownVersion(options.signal);
  if (own !== null && isAtLeast(own, wanted)) return 'go';
  if (own === null) throw noGo(peer);
  const { cacheFolder, signal, log } = options;
  const folder = join(cacheFolder, `go-${TOOLCHAIN}`);
  await provideFolder({
    folder,
    recipe: `go ${TOOLCHAIN} ${process.platform} ${process.arch}`,
    signal,
    build: async (partial) => {
      log(`Go here is ${own}, ${peer} needs ${wanted}: fetching Go ${TOOLCHAIN} from the Go module proxy.`);
      await fetchToolchain(partial, { peer, signal });
    },
  });
  return join(toolchainIn(folder), 'bin', 'go');
}

/** null where there is no Go. */
async function ownVersion(signal: AbortSignal): Promise<string | null> {
  try {
    const { stdout } = await runTool({
      command: 'go',
      args: ['env', 'GOVERSION'],
      environment: GO_ENVIRONMENT,
      signal,
    });
    return stdout.trim().replace(/^go/, '');
  } catch (error) {
    if (error instanceof LandfallError && error.code === 'tool-missing') return null;
    throw error;
  }
}

function isAtLeast(version: string, wanted: string): boolean {
  return version.localeCompare(wanted, 'en', { numeric: true }) >= 0;
}

/** As Go itself finishes it after the download: modules hold no executables and no second `go.mod`. */
async function fetchToolchain(
  folder: string,
  { peer, signal }: { peer: string; signal: AbortSignal },
): Promise<void> {
  const module = `golang.org/toolchain@v0.0.1-go${TOOLCHAIN}.${platform()}`;
  const environment = { ...GO_ENVIRONMENT, GOPATH: folder };
  await runRegistryTool(peer, { command: 'go', args: ['mod', 'download', module], environment, signal });
  const root = toolchainIn(folder);
  for (const tools of [join(root, 'bin'), join(root, 'pkg', 'tool', platform().replace('-', '_'))])
    for (const name of await readdir(tools)) await chmod(join(tools, name), 0o755);
  await copyFile(join(root, 'src', '_go.mod'), join(root, 'src', 'go.mod'));
}

function toolchainIn(folder: string): string {
  return join(folder, 'pkg', 'mod', 'golang.org', `toolchain@v0.0.1-go${TOOLCHAIN}.${platform()}`);
}

function platform(): string {
  return `${process.platform}-${process.arch === 'x64' ? 'amd64' : process.arch}`;
}

function noGo(peer: string): LandfallError {
  return new LandfallError({
    code: 'tool-missing',
    message: `The peer ${peer} cannot be had: there is no Go to build it with. Any Go will do (Debian: golang-go); \`node tools/setup.mjs peers\` installs it.`,
    context: { command: 'go' },
  });
}
