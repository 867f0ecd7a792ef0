import { expect, test } from 'vitest';
import { type ToolResult, tryTool } from '../../src/processes/child.ts';

const GARBAGE = `
const { keepHeapSmall } = await import(process.argv[1]);
if (process.argv[2] === 'small') keepHeapSmall();
let kept = [];
for (let index = 0; index < 2e6; index += 1) {
  kept.push({ index, each: [index] });
  if (kept.length > 60_000) kept = [];
}
const { getHeapSpaceStatistics } = await import('node:v8');
console.log(getHeapSpaceStatistics().find((space) => space.space_name === 'new_space').space_size);`;

test('the space for new objects grows no further, whatever is thrown away', async () => {
  const [usual, small] = [await newSpaceBytes('usual'), await newSpaceBytes('small')];
  expect(small).toBeLessThan(usual / 4);
});

test('the space for new objects is swept by the thread that owns it, which need not wait for others', async () => {
  expect(await helpersMs('usual')).toBeGreaterThan(0);
  expect(await helpersMs('small')).toBe(0);
});

/** How long other threads helped to sweep the space for new objects. */
async function helpersMs(how: string): Promise<number> {
  const { stdout } = await collectGarbage(how, ['--trace-gc', '--trace-gc-nvp']);
  // Lines for the time before `keepHeapSmall` are of modules being loaded.
  const lines = stdout
    .split('\n')
    .filter((line) => line.includes(' gc=s '))
    .slice(-5);
  const times = lines.map((line) => Number(/background\.scavenge\.parallel=([\d.]+)/.exec(line)?.[1]));
  expect(times).toHaveLength(5);
  return times.reduce((sum, ms) => sum + ms, 0);
}

async function newSpaceBytes(how: string): Promise<number> {
  const { stdout, stderr } = await collectGarbage(how);
  expect(stderr).toBe('');
  return Number(stdout);
}

async function collectGarbage(how: string, flags: readonly string[] = []): Promise<ToolResult> {
  const file = new URL('../../src/processes/small-heap.ts', import.meta.url).href;
  const args = [...flags, '--input-type=module', '--eval', GARBAGE, file, how];
  return await tryTool({ command: process.execPath, args });
}
