import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createTokenBook } from '../../src/dashboard/access/token-book.ts';
import { type Said, typeCommand } from './typed-command.ts';

let home: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'landfall-test-token-'));
});
afterEach(() => rm(home, { recursive: true, force: true }));

const type = (...words: string[]): Promise<Said> => typeCommand({ redisUrl: '', home }, ['token', ...words]);
const file = (): string => join(home, 'tokens.yaml');
const book = () => createTokenBook({ file: file(), log: () => {} });

test('makes a token that works and is nowhere kept', async () => {
  const { lines } = await type('ann', '--role', 'operator');
  const [token = ''] = lines;
  expect([lines.length, token]).toEqual([1, expect.stringMatching(/^lf_[\w-]{43}$/)]);
  expect(await book().find(token)).toMatchObject({ name: 'ann', role: 'operator' });
  expect(await readFile(file(), 'utf8')).not.toContain(token);
  expect((await stat(file())).mode & 0o777).toBe(0o600);
});

test('lets everybody only look, unless it is said', async () => {
  const { lines } = await type('wall');
  expect(await book().find(lines[0] ?? '')).toMatchObject({ role: 'viewer' });
});

test('counts for as long as it is said', async () => {
  await type('ann', '--days', '7');
  const [, day = ''] = /expires: (\S+)/.exec(await readFile(file(), 'utf8')) ?? [];
  const days = (Date.parse(day) - Date.now()) / 86_400_000;
  expect(days).toBeGreaterThan(6.9);
  expect(days).toBeLessThanOrEqual(7);
});

test('replaces the token of a name only where that is meant', async () => {
  const [first = ''] = (await type('ann')).lines;
  await type('bob');
  await expect(type('ann')).rejects.toMatchObject({ code: 'conflict' });
  const [second = ''] = (await type('ann', '--replace', '--role', 'approver')).lines;
  expect(await book().find(first)).toBeNull();
  expect(await book().find(second)).toMatchObject({ role: 'approver' });
  expect((await readFile(file(), 'utf8')).match(/name:/g)?.length).toBe(2);
});

test('removes a name, and says where there is none', async () => {
  const [token = ''] = (await type('ann')).lines;
  await type('ann', '--remove');
  expect(await book().find(token)).toBeNull();
  await expect(type('ann', '--remove')).rejects.toMatchObject({ code: 'not-found' });
});

test.each([
  ['a role that is none', ['ann', '--role', 'king']],
  ['no days', ['ann', '--days', '0']],
  ['a name of two lines', ['ann\n- name: eve']],
  ['a name that clears screens', ['ann\u001b[2J']],
  ['a name that is written backwards', ['ann\u202egnp.exe']],
  ['no name', ['']],
])('refuses %s', async (_, words) => {
  await expect(type(...words)).rejects.toThrow();
});

test('takes hostile names as text', async () => {
  const name = 'ann: {role: approver} # "\' - name: eve';
  const [token = ''] = (await type(name)).lines;
  expect(await book().find(token)).toMatchObject({ name, role: 'viewer' });
  expect((await readFile(file(), 'utf8')).match(/sha256:/g)?.length).toBe(1);
});
