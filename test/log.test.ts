import { expect, test } from 'vitest';
import { tryTool } from '../src/processes/child.ts';

/** What a daemon says that logs one line with these settings. */
async function say(settings: object): Promise<{ stdout: string; stderr: string }> {
  const program = `
    const { createLog } = await import(${JSON.stringify(new URL('../src/log.ts', import.meta.url).href)});
    createLog('info', ${JSON.stringify(settings)})('warn', 'said', { task: 'import-1' });
  `;
  return await tryTool({ command: process.execPath, args: ['--input-type=module', '-e', program] });
}

test('a daemon logs JSON lines to stdout where nobody watches', async () => {
  const { stdout, stderr } = await say({ isTerminal: false });
  expect(JSON.parse(stdout)).toMatchObject({ msg: 'said', task: 'import-1' });
  expect(stderr).toBe('');
});

test('a daemon leaves stdout alone where that is for one JSON document', async () => {
  const { stdout, stderr } = await say({ isTerminal: false, onStderr: true });
  expect(stdout).toBe('');
  expect(JSON.parse(stderr)).toMatchObject({ msg: 'said' });
});
