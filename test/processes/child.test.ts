import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { describe, expect, test, vi } from 'vitest';
import { runTool, startTool, tryTool } from '../../src/processes/child.ts';

async function isAlive(pid: number): Promise<boolean> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  return stat !== '' && stat.split(') ')[1]?.[0] !== 'Z';
}

describe('a tool that runs to its end', () => {
  test('gives its output, and each line as it comes, also those ended by a carriage return', async () => {
    const lines: string[] = [];
    const result = await runTool({
      command: 'printf',
      args: ['(1%%)\\r(2%%)\\nend'],
      onLine: (line) => lines.push(line),
    });
    expect(lines).toEqual(['(1%)', '(2%)', 'end']);
    expect(result.exitCode).toBe(0);
  });

  test('sees what it is given and what all need, and no credentials of ours', async () => {
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'secret');
    vi.stubEnv('REDIS_URL', 'redis://:secret@redis');
    vi.stubEnv('TMPDIR', '/var/tmp');
    const { stdout } = await runTool({ command: 'env', args: [], environment: { GIVEN: 'yes' } }).finally(
      () => vi.unstubAllEnvs(),
    );
    expect(stdout).not.toContain('secret');
    expect(stdout.split('\n')).toEqual(expect.arrayContaining(['GIVEN=yes', 'LC_ALL=C', 'TMPDIR=/var/tmp']));
  });

  test('that fails is reported with its status and its last words', async () => {
    const failing = runTool({ command: 'sh', args: ['-c', 'echo first >&2; echo why >&2; exit 3'] });
    await expect(failing).rejects.toMatchObject({
      code: 'tool-failed',
      message: expect.stringContaining('status 3: first | why'),
    });
  });

  test('that is not installed is reported as such, with and without limits', async () => {
    await expect(tryTool({ command: 'no-such-tool', args: [] })).rejects.toMatchObject({
      code: 'tool-missing',
    });
    const limited = tryTool({ command: 'no-such-tool', args: [], limits: { cpuSeconds: 1 } });
    await expect(limited).rejects.toMatchObject({ code: 'tool-missing' });
  });

  test('is stopped by its CPU limit', async () => {
    const { exitCode } = await tryTool({
      command: 'sh',
      args: ['-c', 'while :; do :; done'],
      limits: { cpuSeconds: 1 },
    });
    expect(exitCode).not.toBe(0);
  });

  test('is stopped by its signal and rejects with the reason', async () => {
    const controller = new AbortController();
    const running = tryTool({ command: 'sleep', args: ['60'], signal: controller.signal });
    controller.abort(new Error('enough'));
    await expect(running).rejects.toThrow('enough');
  });
});

describe('a tool that goes on', () => {
  test('ends with its owner', async () => {
    let pid = 0;
    {
      await using tool = await startTool({ command: 'sleep', args: ['60'] });
      pid = tool.pid;
      expect(await isAlive(pid)).toBe(true);
    }
    expect(await isAlive(pid)).toBe(false);
  });

  test('keeps the tail of what it said', async () => {
    const tool = await startTool({ command: 'sh', args: ['-c', 'seq 1 100000; echo over >&2; exit 4'] });
    const { exitCode, stdout, stderr } = await tool.exited;
    expect(exitCode).toBe(4);
    expect(stdout.endsWith('\n100000')).toBe(true);
    expect(stdout.length).toBeLessThanOrEqual(64 * 1024);
    expect(stderr).toBe('over');
  });

  test('dies when its parent is killed with SIGKILL', async () => {
    const program = `
      import { startTool } from ${JSON.stringify(new URL('../../src/processes/child.ts', import.meta.url).href)};
      const tool = await startTool({ command: 'sleep', args: ['60'] });
      console.log(tool.pid);
    `;
    const parent = spawn(process.execPath, ['--input-type=module', '-e', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [text] = (await once(parent.stdout, 'data')) as [Buffer];
    const pid = Number(text.toString());
    // From then on: before, it is setpriv, which has not asked the kernel yet to end it with its parent.
    const command = async () => (await readFile(`/proc/${pid}/comm`, 'utf8')).trim();
    await expect.poll(command, { timeout: 5_000, interval: 20 }).toBe('sleep');
    parent.kill('SIGKILL');
    await expect.poll(() => isAlive(pid), { timeout: 5_000, interval: 20 }).toBe(false);
  });
});
