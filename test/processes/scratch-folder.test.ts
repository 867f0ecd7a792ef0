import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { expect, test } from 'vitest';
import { runTool } from '../../src/processes/child.ts';
import { makeScratchFolder, sweepScratchFolders } from '../../src/processes/scratch-folder.ts';

test('what a killed owner left is removed, what a living one has stays', async () => {
  const mine = await makeScratchFolder('test');
  const { stdout } = await runTool({ command: 'sh', args: ['-c', 'echo $$'] });
  const left = join(tmpdir(), `landfall-test-${stdout.trim()}-abcdef`);
  await mkdir(left);
  try {
    expect((await stat(mine)).mode & 0o077).toBe(0);
    await sweepScratchFolders();
    const names = await readdir(tmpdir());
    expect(names).toContain(basename(mine));
    expect(names).not.toContain(basename(left));
  } finally {
    await rm(mine, { recursive: true });
  }
});
