import { mkdtemp, readFile, readlink, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { runTool } from '../../../src/processes/child.ts';
import { packCpio } from '../../../tools/estate/cpio.ts';

test('busybox unpacks what was packed: folders, files of any length, links', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'landfall-test-'));
  try {
    const archive = join(folder, 'root.cpio');
    const lengths = [0, 1, 2, 3, 4, 5, 4097];
    const files = lengths.map((length) => ({
      kind: 'file' as const,
      path: `bin/file-${length}`,
      bytes: Buffer.alloc(length, 'x'),
      isExecutable: length === 5,
    }));
    const link = { kind: 'link' as const, path: 'bin/sh', to: 'busybox' };
    await writeFile(archive, packCpio([{ kind: 'folder', path: 'bin' }, ...files, link]));
    await runTool({ command: 'busybox', args: ['cpio', '-i', '-F', archive], cwd: folder });
    for (const { path, bytes } of files) expect(await readFile(join(folder, path))).toEqual(bytes);
    expect((await stat(join(folder, 'bin/file-5'))).mode & 0o777).toBe(0o755);
    expect((await stat(join(folder, 'bin/file-4'))).mode & 0o777).toBe(0o644);
    expect(await readlink(join(folder, 'bin/sh'))).toBe('busybox');
  } finally {
    await rm(folder, { recursive: true });
  }
});
