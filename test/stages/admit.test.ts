import { once } from 'node:events';
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { createServer as createHttp } from 'node:http';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { LandfallError } from '../../src/domain/errors.ts';
import type { Landing } from '../../src/domain/landing.ts';
import type { Hook, ServiceCheck } from '../../src/domain/wave.ts';
import { runStep } from '../../src/stages/run-step.ts';
import { createControlledSource } from '../fakes/controlled-source.ts';
import { createJob, createMachine, createRecord, rawImage } from '../fakes/machine.ts';
import { createDurableState, createManualClock } from '../fakes/step-context.ts';
import { createFakeTarget } from '../fakes/target.ts';
import { makeTempFolder } from '../images/make-appliance.ts';
import { createAttempt } from './attempt.ts';
import { type Fate, fateAt, Killed, mortal, mortalContext, NO_FATE, untilDone } from './killed-attempts.ts';

const job = createJob('admit');
const LANDING: Landing = { kind: 'fake', id: 'i-1', ref: { groups: 'quarantine' }, address: '127.0.0.1' };
const ADMITTED: Landing = { ...LANDING, ref: { groups: 'web' } };
const DEADLINE_SECONDS = 60;

function createWorld(
  checks: readonly ServiceCheck[] = [],
  hooks: readonly Hook[] = [],
  more: { stagingFolder?: string } = {},
) {
  const machine = createMachine();
  const plain = createRecord({
    machine,
    isControlled: true,
    proof: { checks, deadlineSeconds: DEADLINE_SECONDS },
  });
  const record = {
    ...plain,
    landing: LANDING,
    images: { '0': rawImage('/vm/0.raw', 1) },
    plan: { ...plain.plan, hooks },
  };
  const source = createControlledSource(machine);
  source.power = 'off';
  let admissions = 0;
  const target = {
    ...createFakeTarget(),
    admit: async () => {
      admissions += 1;
      return { kind: 'done', value: ADMITTED } as const;
    },
  };
  const state = createDurableState();
  const clock = createManualClock();
  state.checkpoints.set('run-1/web01/export/0', JSON.stringify({ fingerprint: 'state-1' }));
  const run = (fate: Fate = NO_FATE) => {
    const input = createAttempt({ record, job, source, state, clock, ...more });
    const context = mortalContext(input.context, fate);
    return runStep({ ...input, target: mortal(target, ['admit'], fate), context });
  };
  const finish = () => untilDone(() => run(), clock.advance);
  return { source, clock, run, finish, admissions: () => admissions };
}

async function listen(): Promise<{ port: number } & AsyncDisposable> {
  const server = createServer((socket) => socket.end());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const bound = server.address();
  if (bound === null || typeof bound === 'string') throw new Error('no port');
  return { port: bound.port, [Symbol.asyncDispose]: async () => void server.close() };
}

const command = (script: string): ServiceCheck => ({ kind: 'command', command: ['sh', '-c', script] });

describe('admit', () => {
  it('puts a landing into service', async () => {
    const { run } = createWorld();
    expect(await run()).toEqual({ kind: 'done', value: { stage: 'admit', landing: ADMITTED } });
  });

  it('removes what still lies in staging: import may have run where that of its site is not', async () => {
    await using folder = await makeTempFolder();
    const spooled = join(folder.path, 'run-1', 'web01', 'source', 'spool-0.raw');
    await mkdir(dirname(spooled), { recursive: true });
    await writeFile(spooled, 'spooled');
    const { run } = createWorld([], [], { stagingFolder: folder.path });
    expect(await run()).toMatchObject({ kind: 'done' });
    await expect(stat(spooled)).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('never does so while the source runs', async () => {
    const { source, run, admissions } = createWorld();
    source.power = 'on';
    await expect(run()).rejects.toMatchObject({ code: 'source-not-off' });
    expect(admissions()).toBe(0);
  });

  it('nor after the source went on without it, though it is off again', async () => {
    const { source, run, admissions } = createWorld();
    source.fingerprint = async () => 'state-2';
    await expect(run()).rejects.toMatchObject({ code: 'source-changed' });
    expect(admissions()).toBe(0);
  });

  it('waits until services answer at its address, admitting once', async () => {
    const port = await freePort();
    const { run, finish, clock, admissions } = createWorld([{ kind: 'tcp', host: '{address}', port }]);
    const note = expect.stringMatching(new RegExp(`127.0.0.1:${port} .*ECONNREFUSED`));
    expect(await run()).toMatchObject({ kind: 'wait', afterMs: 1_000, note });
    clock.advance(30_000);
    expect(await run()).toMatchObject({ kind: 'wait', afterMs: 3_000 });
    const server = createHttp((_request, response) => response.end()).listen(port, '127.0.0.1');
    await once(server, 'listening');
    await finish();
    server.close();
    expect(admissions()).toBe(1);
  });

  it('fails at the deadline by naming what does not answer; a retry has the whole time again', async () => {
    const checks = [command('echo fine'), command('echo "no route" >&2; exit 4')];
    const { run, clock } = createWorld(checks);
    expect(await run()).toMatchObject({ kind: 'wait' });
    clock.advance(DEADLINE_SECONDS * 1000);
    await expect(run()).rejects.toMatchObject({
      code: 'check-failed',
      retryable: false,
      context: { isAdmitted: true },
      message: expect.stringMatching(
        /web01 \(i-1\).*after 60 s: .*status 4: no route.*landfall rollback run-1 web01/,
      ),
    });
    expect(await run()).toMatchObject({ kind: 'wait' });
  });

  it('stays one that may have been in service whatever fails after it was put there', async () => {
    const { source, run, clock } = createWorld([command('false')]);
    await run();
    clock.advance(DEADLINE_SECONDS * 1000);
    await expect(run()).rejects.toMatchObject({ code: 'check-failed', context: { isAdmitted: true } });
    source.power = 'on';
    await expect(run()).rejects.toMatchObject({ code: 'source-not-off', context: { isAdmitted: true } });
  });

  it('also where its worker was killed before it could write that down', async () => {
    for (let point = 0; ; point += 1) {
      const { source, run, admissions } = createWorld();
      const fate = fateAt(point);
      await run(fate).catch((error: unknown) => expect(error).toBeInstanceOf(Killed));
      if (!fate.hasStruck()) return;
      const wasAdmitted = admissions() > 0;
      source.power = 'on';
      const next = await run().catch((error: unknown) => error);
      if (wasAdmitted && next instanceof LandfallError)
        expect(next.context, `killed at ${point}`).toMatchObject({ isAdmitted: true });
    }
  });

  it('judges answers of servers by their status', async () => {
    const server = createHttp((request, response) => {
      response.writeHead(Number(request.url?.slice(1)), { location: '/200' }).end();
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const bound = server.address();
    const port = typeof bound === 'object' ? bound?.port : 0;
    const check = (path: string, status: number | null = null): ServiceCheck => ({
      kind: 'http',
      url: `http://{address}:${port}/${path}`,
      status,
    });
    expect(await createWorld([check('200'), check('302'), check('401', 401)]).run()).toMatchObject({
      kind: 'done',
    });
    const note = expect.stringContaining('answered with status 500');
    expect(await createWorld([check('200'), check('500')]).run()).toMatchObject({ kind: 'wait', note });
    expect(await createWorld([check('200', 204)]).run()).toMatchObject({ kind: 'wait' });
    server.close();
  });

  it('takes a server that answers and goes on talking for one that serves', async () => {
    const server = createHttp((_request, response) => void response.writeHead(200).write('data: 1\n\n'));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const bound = server.address();
    const port = typeof bound === 'object' ? bound?.port : 0;
    const { run } = createWorld([{ kind: 'http', url: `http://{address}:${port}/events`, status: null }]);
    expect(await run()).toMatchObject({ kind: 'done' });
    server.closeAllConnections();
    server.close();
  }, 5_000);

  it('tells commands where the landing is', async () => {
    await using server = await listen();
    const script = `test "$LANDFALL_ADDRESS $LANDFALL_LANDING" = "127.0.0.1 i-1"`;
    const checks: ServiceCheck[] = [
      command(script),
      { kind: 'command', command: ['test', '{address}', '=', '127.0.0.1'] },
      { kind: 'tcp', host: '127.0.0.1', port: server.port },
    ];
    expect(await createWorld(checks).run()).toMatchObject({ kind: 'done' });
  });

  it('does not wait for what can never hold', async () => {
    const { run } = createWorld([{ kind: 'command', command: ['no-such-check'] }]);
    await expect(run()).rejects.toMatchObject({ code: 'check-failed', retryable: false });
  });

  it('leaves no command behind where another check can never hold', async () => {
    await using folder = await makeTempFolder();
    const path = join(folder.path, 'ended');
    const never: ServiceCheck = { kind: 'command', command: ['./no-such-check'] };
    const { run } = createWorld([command(`sleep 0.5; echo x > ${path}`), never]);
    await expect(run()).rejects.toMatchObject({ code: 'check-failed' });
    expect(await readFile(path, 'utf8')).toBe('x\n');
  });

  it('calls its hooks around it, the last one when the services answer', async () => {
    const say = (at: Hook['at']): Hook => ({
      kind: 'command',
      at,
      command: ['sh', '-c', 'exit 0'],
      timeoutSeconds: 10,
      onFailure: 'fail',
    });
    for (let point = 0; ; point += 1) {
      const world = createWorld([command('exit 0')], [say('before-admit'), say('after-landing')]);
      const fate = fateAt(point);
      await world.run(fate).catch((error: unknown) => expect(String(error)).toContain('killed at point'));
      expect(await world.finish()).toEqual({ stage: 'admit', landing: ADMITTED });
      expect(world.admissions()).toBeLessThanOrEqual(2);
      if (!fate.hasStruck()) {
        expect(point).toBe(10);
        return;
      }
    }
  });
});

async function freePort(): Promise<number> {
  await using server = await listen();
  return server.port;
}
