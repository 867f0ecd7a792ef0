import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Job, POOLS, type PoolName } from '../../src/domain/job.ts';
import type { RunStep } from '../../src/queue/attempt.ts';
import { startPool } from '../../src/queue/pool.ts';
import { nameIn, openRunGround, type RunGround, succeed } from './run-ground.ts';

let ground: RunGround;
beforeAll(async () => {
  ground = await openRunGround();
});
afterAll(async () => {
  await ground[Symbol.asyncDispose]();
});

/** Pools of one worker process, which say whom they served. */
async function serve(
  site: string | null,
  stages: readonly PoolName[],
  served: string[],
): Promise<AsyncDisposable> {
  await using stack = new AsyncDisposableStack();
  const { state, conductor } = ground;
  const runStep: RunStep = (work) => {
    served.push(`${site} ${work.job.stage}`);
    return succeed(work);
  };
  for (const stage of stages)
    stack.use(await startPool({ stage, site, concurrency: 2, state, conductor, runStep, onError: () => {} }));
  const owned = stack.move();
  return { [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

describe('a machine of a site', () => {
  test('is read by workers of that site only; what reaches the target alone is done by any', async () => {
    const served: string[] = [];
    await using elsewhere = await serve('dc2', POOLS, served);
    await using nowhere = await serve(null, POOLS, served);
    void [elsewhere, nowhere];
    const run = await ground.begin({ machines: { a: {} }, site: 'dc1' });
    const first: Job = {
      run: run.id,
      machine: nameIn(run, 'a'),
      stage: 'export',
      disk: '0',
      pass: 0,
      try: 1,
    };
    expect(await ground.queues.look(first, 'dc1')).toBe('live');
    expect(await ground.queues.look(first)).toBe('missing');
    expect(served).toEqual([]);
    await using there = await serve('dc1', ['export', 'convert', 'upload', 'power'], served);
    void there;
    await ground.untilStatus(run, 'landed');
    expect(
      served.filter((line) => /export|convert|upload|admit/.test(line)).map((line) => line.split(' ')[0]),
    ).toEqual(['dc1', 'dc1', 'dc1', 'dc1']);
    expect(served.filter((line) => /import|validate/.test(line))).toHaveLength(2);
  });

  test('has its lost jobs replaced in the queues of its site', async () => {
    const run = await ground.begin({ machines: { a: {} }, site: 'dc3' });
    const first: Job = {
      run: run.id,
      machine: nameIn(run, 'a'),
      stage: 'export',
      disk: '0',
      pass: 0,
      try: 1,
    };
    await ground.queues.remove([first], 'dc3');
    const { wanted } = await ground.conductor.lookAtRun(run.id);
    expect(wanted).toEqual([{ job: first, site: 'dc3' }]);
    expect(await ground.queues.look(first, 'dc3')).toBe('live');
  });
});
