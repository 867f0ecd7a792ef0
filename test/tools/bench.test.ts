import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { startTool, tryTool } from '../../src/processes/child.ts';
import { median, toRow } from '../../tools/bench/bench-row.ts';
import { BENCHES } from '../../tools/bench/benches.ts';

const BENCH = join(import.meta.dirname, '../../tools/bench/bench.ts');

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'landfall-test-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

describe('npm run bench', () => {
  test('writes what it measured as JSON, and leaves nothing behind', { timeout: 60_000 }, async () => {
    const json = join(folder, 'bench.json');
    const { exitCode, stderr } = await bench('--only', 'read', '--only', 'ebs-dense', '--json', json);
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
    const rows = JSON.parse(await readFile(json, 'utf8'));
    expect(rows.map(({ name, unit }: { name: string; unit: string }) => [name, unit])).toEqual([
      ['read', 'MB/s'],
      ['ebs-dense', 'MB/s'],
      ['ebs-dense-cpu', 'ms a block'],
      ['event-loop', 'ms'],
      ['staging', 'bytes'],
    ]);
    for (const { landfall, peer, ratio } of rows.slice(0, 2)) {
      expect(landfall).toBeGreaterThan(0);
      expect(ratio).toBeCloseTo(landfall / peer);
    }
    expect(rows.at(-1)).toMatchObject({ landfall: 0, peer: null, ratio: null, runs: 2, isReached: true });
    expect(await readdir(folder)).toEqual(['bench.json']);
  });

  test('ends what it started when it is interrupted', { timeout: 60_000 }, async () => {
    const underWay = Promise.withResolvers<void>();
    await using running = await startTool({
      command: process.execPath,
      args: [BENCH, '--size', '16M', '--only', 'ebs-sparse'],
      environment: { TMPDIR: folder },
      onLine: (line) => {
        if (line.startsWith('ebs-sparse')) underWay.resolve();
      },
    });
    await underWay.promise;
    process.kill(running.pid, 'SIGINT');
    const { exitCode, stdout } = await running.exited;
    expect(stdout).toContain('Everything the benches started has ended.');
    expect(exitCode).toBe(130);
    expect(await readdir(folder)).toEqual([]);
  });

  test('explains itself: benches, options, time and room', async () => {
    const { exitCode, stdout } = await bench('--help');
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/^Usage: npm run bench/);
    for (const { name, summary } of BENCHES)
      expect(stdout).toMatch(new RegExp(`^  ${name} .*${summary.slice(0, 20)}`, 'm'));
    expect(stdout).toMatch(/--only NAME[\s\S]*--json FILE[\s\S]*about 15 min .* 16 GiB/);
  });

  test.each([
    [['--only', 'reed'], 'There is no bench reed; there are read,'],
    [['--runs', '0'], '--runs 0 is no number of runs.'],
    [['--size', '5K'], '--size 5K is no size'],
    [['--fast'], "Unknown option '--fast'"],
  ])('refuses %s', async (args, problem) => {
    const { exitCode, stderr } = await bench(...args);
    expect(exitCode).toBe(2);
    expect(stderr).toContain(problem);
    expect(stderr).toContain('Usage: npm run bench');
  });

  function bench(...args: string[]) {
    const small = ['--size', '16M', '--runs', '1'];
    return tryTool({
      command: process.execPath,
      args: [BENCH, ...small, ...args],
      environment: { TMPDIR: folder },
    });
  }
});

describe('a row', () => {
  const measured = { name: 'read', unit: 'MB/s', against: 'nbdcopy' } as const;

  test('is of medians, not of the luckiest run', () => {
    expect(median([9, 1, 2])).toBe(2);
    expect(median([4, 1, 2, 9])).toBe(3);
    const each = { landfall: [100, 10, 30], peer: [40, 60, 50] };
    const goal = { of: 'ratio', atLeast: 0.8 } as const;
    const row = toRow({ ...measured, each, goal, ratio: 'landfall/peer' });
    expect(row).toMatchObject({ landfall: 30, peer: 50, ratio: 0.6, runs: 3, isReached: false });
  });

  test('says how many times faster where less time is better', () => {
    const each = { landfall: [2], peer: [10] };
    const goal = { of: 'ratio', atLeast: 4 } as const;
    expect(toRow({ ...measured, each, goal, ratio: 'peer/landfall' })).toMatchObject({
      ratio: 5,
      isReached: true,
    });
  });

  test('is of the worst where one is a defect', () => {
    const each = { landfall: [1, 80, 2], peer: [] };
    const goal = { of: 'landfall', atMost: 50 } as const;
    const row = toRow({ ...measured, each, goal, ratio: 'none', by: 'worst' });
    expect(row).toMatchObject({ landfall: 80, peer: null, ratio: null, isReached: false });
  });
});
