import { describe, expect, it } from 'vitest';
import { createVirsh } from '../../../../adapters/sources/libvirt/virsh.ts';
import { isAway, virshFailure } from '../../../../adapters/sources/libvirt/virsh-failure.ts';

const live = new AbortController().signal;
const uri = 'qemu+ssh://root@kvm-07/system';

/** Words of libvirt 9.0 and OpenSSH 9.2. */
const SAID: readonly [string, string, boolean, string][] = [
  [
    "Failed to connect socket to '/var/run/libvirt/libvirt-sock': No such file or directory",
    'source-unavailable',
    true,
    'libvirt is away',
  ],
  [
    "Failed to connect socket to '/var/run/libvirt/libvirt-sock': Connection refused",
    'source-unavailable',
    true,
    'away',
  ],
  [
    "Failed to connect socket to '/var/run/libvirt/libvirt-sock': Permission denied",
    'preflight-refused',
    false,
    'group libvirt',
  ],
  [
    'authentication unavailable: no polkit agent available to authenticate',
    'preflight-refused',
    false,
    'group',
  ],
  [
    'Cannot recv data: root@kvm-07: Permission denied (publickey).: Connection reset by peer',
    'preflight-refused',
    false,
    'a key without a passphrase',
  ],
  [
    'Cannot recv data: Host key verification failed.: Connection reset by peer',
    'preflight-refused',
    false,
    "host's key",
  ],
  [
    'Cannot recv data: ssh: Could not resolve hostname kvm-07: Name or service not known',
    'source-unavailable',
    true,
    'away',
  ],
  [
    'Cannot recv data: ssh: connect to host kvm-07 port 22: No route to host',
    'source-unavailable',
    true,
    'away',
  ],
  ['internal error: client socket is closed', 'source-unavailable', true, 'away'],
  ['internal error: connection closed due to keepalive timeout', 'source-unavailable', true, 'away'],
  ["failed to get domain 'web01'", 'not-found', false, 'list --all'],
  ["Domain not found: no domain with matching uuid 'x' (web01)", 'not-found', false, 'list --all'],
  [
    'internal error: qemu unexpectedly closed the monitor: Failed to get "write" lock\nIs another process using the image [/a.qcow2]?',
    'conflict',
    true,
    'open',
  ],
  [
    'internal error: Unable to read from monitor: Connection reset by peer',
    'tool-failed',
    true,
    "the machine's log",
  ],
  [
    'Unable to read from monitor: Connection reset by peer: Failed to get "write" lock',
    'conflict',
    true,
    'open',
  ],
  ['Requested operation is not valid: something new', 'tool-failed', true, 'log of libvirt'],
];

describe('what virsh says', () => {
  it.each(SAID)('%s', (said, code, retryable, remedy) => {
    const stderr = `error: failed to connect to the hypervisor\nerror: ${said}\n`;
    const words =
      code === 'not-found' || code === 'conflict' || /monitor|new|keepalive|closed$/.test(said)
        ? said
        : stderr;
    const error = virshFailure({ attempted: 'Reading web01', uri, endedBy: null, stderr: `error: ${words}` });
    expect(error).toMatchObject({ code, retryable });
    expect(error.message).toMatch(/^Reading web01 at qemu\+ssh:\/\/root@kvm-07\/system failed: /);
    expect(error.message).toContain(said.split('\n')[0]?.replace(/\.$/, ''));
    expect(error.message).toContain(remedy);
    expect(isAway(error)).toBe(remedy.endsWith('away'));
  });

  it('nothing, when it was killed', () => {
    const error = virshFailure({ attempted: 'Reading web01', uri, endedBy: 'SIGKILL', stderr: '' });
    expect(error).toMatchObject({ code: 'tool-failed', retryable: true });
    expect(error.message).toContain('SIGKILL');
  });
});

describe('virsh', () => {
  const nowhere = createVirsh('qemu+unix:///system?socket=/nowhere/libvirt-sock');
  const call = { attempted: 'Listing', signal: live };

  it('tells that nobody listens, for one command and for many', async () => {
    const away = { code: 'source-unavailable', retryable: true };
    await expect(nowhere.run(['list'], call)).rejects.toMatchObject(away);
    await expect(nowhere.runAll([['list'], ['list', '--all']], call)).rejects.toMatchObject(away);
  });

  it('never asks for a password', async () => {
    const asking = createVirsh('qemu+ssh://nobody@127.0.0.1:1/system');
    const startedAt = performance.now();
    await expect(asking.run(['list'], call)).rejects.toMatchObject({ retryable: true });
    expect(performance.now() - startedAt).toBeLessThan(10_000);
  });

  it.each(['web01; destroy db01', '$(x)', "a'b", 'a\nb', ''])(
    'gives no %j among several commands',
    async (word) => {
      await expect(nowhere.runAll([['dominfo', word]], call)).rejects.toMatchObject({ code: 'internal' });
    },
  );

  it('ends with its signal', async () => {
    const reason = new Error('cancelled');
    const signal = AbortSignal.abort(reason);
    await expect(nowhere.run(['list'], { attempted: 'Listing', signal })).rejects.toBe(reason);
  });
});
