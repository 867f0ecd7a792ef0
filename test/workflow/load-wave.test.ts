import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { runTool } from '../../src/processes/child.ts';
import { loadWave } from '../../src/workflow/load-wave.ts';
import { exampleAdapters } from './example-adapters.ts';

const GOOD = `name: demo
source: { shelf: { folder: . } }
target: { cloud: { region: north-1 } }
machines: [{ name: a, from: a.qcow2 }]
`;

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'landfall-wave-'));
});
afterEach(() => rm(folder, { recursive: true }));

test('a wave knows the absolute path of its file, for what is relative to it', async () => {
  const file = await write('demo.yaml', GOOD);
  expect((await loadWave(file, exampleAdapters)).file).toBe(file);
});

test('a byte order mark is no part of the wave', async () => {
  await expect(loadWave(await write('demo.yaml', `\ufeff${GOOD}`), exampleAdapters)).resolves.toMatchObject({
    name: 'demo',
  });
});

test('a file that is not there is not found, and one with a like name is offered', async () => {
  await write('demo.yaml', GOOD);
  const file = join(folder, 'dmeo.yaml');
  await expect(loadWave(file, exampleAdapters)).rejects.toMatchObject({
    code: 'not-found',
    message: `There is no wave file ${file}. Did you mean ${join(folder, 'demo.yaml')}?`,
  });
});

test('bytes that are no UTF-8 are refused with their place', async () => {
  const file = await write('demo.yaml', Buffer.from('name: demo\n# caf\xe9\n', 'latin1'));
  await expect(loadWave(file, exampleAdapters)).rejects.toMatchObject({
    code: 'wave-invalid',
    message: `${file}:2:6: this is not UTF-8. Save the file in UTF-8.`,
  });
});

test('a file of more than one MiB is refused before it is read', async () => {
  const file = await write('demo.yaml', `${GOOD}#${' '.repeat(1024 * 1024)}`);
  await expect(loadWave(file, exampleAdapters)).rejects.toMatchObject({
    code: 'wave-invalid',
    message: expect.stringContaining('Split the wave.'),
  });
});

test('a folder or a pipe is refused, and nobody waits for it', async () => {
  const pipe = join(folder, 'pipe.yaml');
  await runTool({ command: 'mkfifo', args: [pipe] });
  for (const file of [folder, pipe]) {
    await expect(loadWave(file, exampleAdapters)).rejects.toMatchObject({ code: 'wave-invalid' });
  }
});

async function write(name: string, content: string | Buffer): Promise<string> {
  const file = join(folder, name);
  await writeFile(file, content);
  return file;
}
