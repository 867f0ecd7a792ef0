import { join } from 'node:path';
import { expect, test } from 'vitest';
import { tryTool } from '../../src/processes/child.ts';

const PEERS = join(import.meta.dirname, '../../tools/peers/test-peers.ts');

test.each(['--help', '-h'])(
  'npm run test:peers -- %s says which, how long and what it needs',
  async (flag) => {
    const { exitCode, stdout } = await tryTool({ command: process.execPath, args: [PEERS, flag] });
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/^Usage: npm run test:peers/);
    expect(stdout).toMatch(/s3 +versitygw[\s\S]*ebs +moto[\s\S]*Go module proxy and PyPI[\s\S]*3 min/);
  },
);
