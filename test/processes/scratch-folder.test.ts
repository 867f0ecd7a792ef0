import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { expect, test } from 'vitest';
import { runTool } from '../../src/processes/child.ts';
import { makeScratchFolder, sweepScratchFolders } from '../../src/processes/scratch-folder.ts';

test('what a killed owner left is removed, what a living one has stays', async () => {
  const mine = await makeScratchFolder('test');
  const [, start = ''] = /-(\d+)-\w{6}$/.exec(mine) ?? [];
  expect(Number(start)).toBeGreaterThan(0);
  const { stdout } = await runTool({ command: 'sh', args: ['-c', 'echo $$'] });
  const ofTheDead = `landfall-test-${stdout.trim()}-${start}-abcdef`;
  // Another process has its id by now.
  const ofTheReplaced = `landfall-test-${process.pid}-${Number(start) - 1}-abcdef`;
  const ofStrangers = `landfall-test-${stdout.trim()}`;
  const made = [ofTheDead, ofTheReplaced, ofStrangers].map((name) => join(tmpdir(), name));
  try {
    for (const folder of made) await mkdir(folder);
    expect((await stat(mine)).mode & 0o077).toBe(0);
    await sweepScratchFolders();
    const names = await readdir(tmpdir());
    expect(names).toEqual(expect.arrayContaining([basename(mine), ofStrangers]));
    expect(names).not.toContain(ofTheDead);
    expect(names).not.toContain(ofTheReplaced);
  } finally {
    for (const folder of [mine, ...made]) await rm(folder, { recursive: true, force: true });
  }
});
