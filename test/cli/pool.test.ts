/** `landfall pool`, and the audit trail of what is of no run. */
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { RedisServer } from '../../src/state/redis-server.ts';
import { openState, type State } from '../../src/state/state.ts';
import { makeRecords, makeRun, makeWave } from '../fakes/records.ts';
import { startTestRedis } from '../fakes/redis.ts';
import { type Said, typeCommand } from './typed-command.ts';

let server: RedisServer;
let state: State;

beforeAll(async () => {
  server = await startTestRedis();
  state = openState(server.url);
});
beforeEach(async () => void (await state.redis.flushall()));
afterAll(async () => {
  await state[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

const landfall = (...words: string[]): Promise<Said> =>
  typeCommand({ redisUrl: server.url, home: join(tmpdir(), 'landfall-none') }, words);

describe('landfall pool', () => {
  test('pauses a pool, shows it, tells a run that needs it, and resumes it', async () => {
    const run = makeRun('r1', makeWave('w', ['a']));
    await state.runs.create(run, makeRecords(run));
    const { lines } = await landfall('pool', 'pause', 'upload', '--reason', 'saturated');
    expect(lines.join('\n')).toMatch(
      /^Pool upload is paused on all hosts: no upload begins; .*pool resume upload/,
    );
    expect((await landfall('pool')).lines.join('\n')).toMatch(
      /upload +0 +0 +0 +0 +paused by .* \(saturated\)/,
    );
    expect((await landfall('status', 'r1')).lines.join('\n')).toContain('! Pool upload is paused by');
    expect((await landfall('pool', 'resume', 'upload')).lines).toEqual(['Pool upload goes on.']);
    expect((await landfall('pool', 'resume', 'upload')).lines).toEqual(['Pool upload: it was so already.']);
    expect((await landfall('status', 'r1')).lines.join('\n')).not.toContain('paused');
  });

  test('sets steps at once, of a site, and lets go of them', async () => {
    const site = ['--site', 'berlin'];
    expect((await landfall('pool', 'concurrency', 'upload', '3', ...site)).lines).toEqual([
      'Pool upload at site berlin: 3 steps at once in each process, on all hosts.',
    ]);
    expect(await state.pools.read()).toMatchObject([{ pool: 'upload', site: 'berlin', concurrency: 3 }]);
    await landfall('pool', 'concurrency', 'upload', 'default', ...site);
    expect(await state.pools.read()).toMatchObject([{ concurrency: null }]);
  });

  test.each([
    [['halt', 'upload']],
    [['pause', 'admit']],
    [['pause', 'upload', '3']],
    [['concurrency', 'upload']],
    [['concurrency', 'upload', 'many']],
    [['concurrency', 'upload', '0']],
    [['pause', 'import', '--site', 'berlin']],
  ])('refuses %j and changes nothing', async (words) => {
    await expect(landfall('pool', ...words)).rejects.toMatchObject({ code: 'usage' });
    expect(await state.pools.read()).toEqual([]);
  });

  test('is in the audit trail, with who did it and why', async () => {
    await landfall('pool', 'pause', 'upload', '--reason', 'saturated');
    const { lines } = await landfall('audit');
    expect(lines).toEqual([
      expect.stringMatching(/^\d\d:\d\d:\d\d pool pause upload by .*@.* \(saturated\)$/),
    ]);
  });
});
