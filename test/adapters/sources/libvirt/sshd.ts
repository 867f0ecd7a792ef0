/** An sshd of a test's own on loopback, with a key that lets this user in, and the URI by which virsh goes through it. */
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { vi } from 'vitest';
import { runTool, startTool, tryTool } from '../../../../src/processes/child.ts';

export type TestSshd = AsyncDisposable & {
  /** The libvirt that listens on this socket, through ssh. */
  uriFor(socketPath: string): string;
  /** Process id of the sshd that listens. */
  pid: number;
};

export async function startSshd(): Promise<TestSshd> {
  const folder = await mkdtemp(join(tmpdir(), 'lf-sshd-'));
  const at = (name: string) => join(folder, name);
  const port = await freePort();
  for (const key of ['host', 'user']) {
    await runTool({ command: 'ssh-keygen', args: ['-q', '-t', 'ed25519', '-N', '', '-f', at(key)] });
  }
  const hostKey = (await readFile(at('host.pub'), 'utf8')).split(' ').slice(0, 2).join(' ');
  await writeFile(at('known_hosts'), `[127.0.0.1]:${port} ${hostKey}\n`);
  await writeFile(at('sshd_config'), serverConfig(folder, port));
  // The key exchange of old: the new one, safe from quantum computers, takes 120 ms more each time.
  await writeFile(
    at('ssh_config'),
    `Host *\nUserKnownHostsFile ${at('known_hosts')}\nGlobalKnownHostsFile none\nIdentitiesOnly yes\nIdentityFile ${at('user')}\nLogLevel ERROR\nKexAlgorithms curve25519-sha256\n`,
  );
  // A handshake takes half a second where many run at once. What forwards a socket has a connection of its own, since a
  // shared one would keep the socket; whoever finds no shared one connects by itself.
  const shared = `-o ControlMaster=no -o ControlPath=${at('shared-%r')}`;
  await writeScript(
    at('ssh'),
    `case " $* " in *' -L '*) shared= ;; *) shared='${shared}' ;; esac
exec /usr/bin/ssh -F ${at('ssh_config')} $shared "$@"`,
  );
  // libvirt calls it as nc, with `-U SOCKET` at the end.
  const bridge = `const s = require('node:net').connect(process.argv.at(-1)); process.stdin.pipe(s); s.pipe(process.stdout); s.on('close', () => process.exit());`;
  // Before that, it asks on each connection whether nc knows `-q`.
  await writeScript(at('nc'), `[ "$1" = -q ] && exit 1\nexec ${process.execPath} -e "${bridge}" -- "$@"`);
  // As root, sshd wants the folder for its unprivileged half; the init script of its package makes it.
  if (process.getuid?.() === 0) await mkdir('/run/sshd', { recursive: true });
  const server = await startTool({ command: '/usr/sbin/sshd', args: ['-D', '-e', '-f', at('sshd_config')] });
  const knock = () =>
    tryTool({ command: at('ssh'), args: ['-p', String(port), '127.0.0.1', 'true'], timeoutMs: 10_000 });
  await vi.waitUntil(async () => (await knock()).exitCode === 0, { timeout: 15_000, interval: 100 });
  const { username } = userInfo();
  const connection = await startTool({
    command: '/usr/bin/ssh',
    args: ['-F', at('ssh_config'), '-M', '-N', '-S', at('shared-%r'), '-p', String(port), '127.0.0.1'],
  });
  await vi.waitUntil(async () => (await readdir(folder)).includes(`shared-${username}`), { timeout: 15_000 });
  return {
    pid: server.pid,
    uriFor: (socketPath) =>
      `qemu+ssh://${username}@127.0.0.1:${port}/session?socket=${socketPath}&command=${at('ssh')}&proxy=netcat&netcat=${at('nc')}`,
    [Symbol.asyncDispose]: async () => {
      await connection.stop();
      await server.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

function serverConfig(folder: string, port: number): string {
  return [
    `Port ${port}`,
    'ListenAddress 127.0.0.1',
    `HostKey ${folder}/host`,
    `AuthorizedKeysFile ${folder}/user.pub`,
    'StrictModes no',
    'UsePAM no',
    'PasswordAuthentication no',
    'KbdInteractiveAuthentication no',
    'PermitRootLogin prohibit-password',
    `PidFile ${folder}/pid`,
    '',
  ].join('\n');
}

async function writeScript(path: string, line: string): Promise<void> {
  await writeFile(path, `#!/bin/sh\n${line}\n`, { mode: 0o755 });
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}
