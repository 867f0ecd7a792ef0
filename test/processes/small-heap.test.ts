import { expect, test } from 'vitest';
import { tryTool } from '../../src/processes/child.ts';

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

async function newSpaceBytes(how: string): Promise<number> {
  const file = new URL('../../src/processes/small-heap.ts', import.meta.url).href;
  const args = ['--input-type=module', '--eval', GARBAGE, file, how];
  const { stdout, stderr } = await tryTool({ command: process.execPath, args });
  expect(stderr).toBe('');
  return Number(stdout);
}
