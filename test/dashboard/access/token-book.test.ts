import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createTokenBook } from '../../../src/dashboard/access/token-book.ts';
import { addToken } from '../../../src/dashboard/access/token-file.ts';

test('all who ask while its file is read for the first time are known', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'landfall-tokens-'));
  try {
    const file = join(folder, 'tokens.yaml');
    const who = { name: 'ann', role: 'viewer', expires: null, replaces: false, now: new Date() } as const;
    const token = await addToken(file, who);
    const book = createTokenBook({ file, log: () => {} });
    const found = await Promise.all([1, 2, 3].map(() => book.find(token)));
    expect(found.map((entry) => entry?.name)).toEqual(['ann', 'ann', 'ann']);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
