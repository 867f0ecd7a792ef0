/** A rollback over the real leases of a machine's other steps, as the composition root puts it together. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type App, openApp } from '../../src/app.ts';
import { readConfig } from '../../src/config.ts';
import { stepKey } from '../../src/domain/job.ts';
import { openStepContext } from '../../src/queue/step-context.ts';
import { keys } from '../../src/state/keys.ts';
import { acquireLease, type Lease } from '../../src/state/lease.ts';
import type { RedisServer } from '../../src/state/redis-server.ts';
import { createJob } from '../fakes/machine.ts';
import { makeRecords, makeRun, makeWave } from '../fakes/records.ts';
import { startTestRedis } from '../fakes/redis.ts';
import { makeTempFolder, type TempFolder } from '../images/make-appliance.ts';

let server: RedisServer;
let folder: TempFolder;
let app: App;

beforeAll(async () => {
  server = await startTestRedis();
  folder = await makeTempFolder();
  app = await openApp(readConfig({ REDIS_URL: server.url }, folder.path));
});
afterAll(async () => {
  await app[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

const plain = makeWave('leases', ['web01']);
const wave = { ...plain, target: { kind: 'aws', options: { region: 'eu-central-1', bucket: 'acme-mig' } } };
const job = createJob('rollback');

async function leaseOf(step: string): Promise<Lease> {
  const reply = await acquireLease(app.state.redis, { run: job.run, machine: job.machine, step });
  if (reply.kind === 'taken') throw new Error(`${step} is taken`);
  return reply.lease;
}

it('waits until whoever works on another step has let go, and is not in its own way', async () => {
  const run = makeRun(job.run, wave);
  const [record] = makeRecords(run);
  if (record === undefined) throw new Error('no machine');
  await using lease = await leaseOf(stepKey(job));
  const upload = await leaseOf('upload/0');
  const { signal } = new AbortController();
  const context = openStepContext({
    ...{ state: app.state, run: run.id, machine: job.machine, step: stepKey(job), lease, signal },
    report: () => {},
  });
  let hasEnded = false;
  const rolling = app.runStep({ run, record, job, context }).finally(() => {
    hasEnded = true;
  });
  const isHeld = async (step: string) =>
    (await app.state.redis.exists(keys.lease({ run: job.run, machine: job.machine, step }))) === 1;
  await expect.poll(() => isHeld('export/0'), { timeout: 5_000, interval: 20 }).toBe(true);
  expect(hasEnded).toBe(false);
  await upload[Symbol.asyncDispose]();
  expect(await rolling).toEqual({ kind: 'done', value: { stage: 'rollback' } });
  await using again = await leaseOf('upload/0');
  expect(again.signal.aborted).toBe(false);
});
