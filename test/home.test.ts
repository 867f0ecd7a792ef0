import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { digestEnvironment } from '../src/environment-digest.ts';
import { homeFiles, isHomeLocked, lockHome, readUpNote, writeUpNote } from '../src/home.ts';

let home: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'landfall-home-'));
});
afterEach(async () => {
  await rm(home, { recursive: true, force: true });
});

describe('a home', () => {
  test('has one owner at a time, and the refusal names it', async () => {
    {
      const written = {
        pid: 4711,
        redisUrl: 'unix:/x',
        environment: digestEnvironment({}),
        dashboard: 'http://127.0.0.1:8470',
      };
      await using lock = await lockHome(home);
      await using note = await writeUpNote(home, written);
      void lock;
      void note;
      expect(await isHomeLocked(home)).toBe(true);
      await expect(lockHome(home)).rejects.toMatchObject({
        code: 'conflict',
        message: expect.stringContaining('process 4711'),
      });
      expect(await readUpNote(home)).toEqual(written);
    }
    expect(await isHomeLocked(home)).toBe(false);
    expect(await readUpNote(home)).toBeNull();
  });

  test('is free once its owner was killed, and the note that one left is not believed', async () => {
    const program = `
      const { lockHome, writeUpNote } = await import(${JSON.stringify(new URL('../src/home.ts', import.meta.url).href)});
      await lockHome(${JSON.stringify(home)});
      await writeUpNote(${JSON.stringify(home)}, { pid: process.pid, redisUrl: 'unix:/gone', environment: { salt: '', variables: {} }, dashboard: null });
      console.log('locked');
      setInterval(() => {}, 1000);
    `;
    const owner = spawn(process.execPath, ['--input-type=module', '-e', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(owner.stdout, 'data');
    expect(await isHomeLocked(home)).toBe(true);
    owner.kill('SIGKILL');
    await once(owner, 'exit');
    await expect.poll(() => isHomeLocked(home), { timeout: 5_000, interval: 20 }).toBe(false);
    expect(await readUpNote(home)).toBeNull();
    await using lock = await lockHome(home);
    void lock;
    expect(await readUpNote(home)).toBeNull();
  });

  test('is not taken later by one who was told to stop while it waited', async () => {
    const stops = new AbortController();
    {
      await using lock = await lockHome(home);
      void lock;
      const waiting = expect(lockHome(home, stops.signal)).rejects.toThrow('stopped');
      setTimeout(() => stops.abort(new Error('stopped')), 50);
      await waiting;
    }
    expect(await isHomeLocked(home)).toBe(false);
    await expect(lockHome(home, stops.signal)).rejects.toThrow('stopped');
  });

  test('may be asked about at any moment without getting in the way of its next owner', async () => {
    const asking = Promise.all(Array.from({ length: 10 }, () => isHomeLocked(home)));
    await using lock = await lockHome(home);
    void lock;
    await asking;
    expect(await isHomeLocked(home)).toBe(true);
  });

  test('whose note is torn is as if it had none', async () => {
    await using lock = await lockHome(home);
    void lock;
    await writeFile(homeFiles(home).note, '{"pid":');
    expect(await readUpNote(home)).toBeNull();
  });
});
