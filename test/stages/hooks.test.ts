import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, readFile, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Hook } from '../../src/domain/wave.ts';
import { forgetHooks, runHooks } from '../../src/stages/hooks.ts';
import { createMachine, createRecord } from '../fakes/machine.ts';
import { createDurableState } from '../fakes/step-context.ts';
import { makeTempFolder, type TempFolder } from '../images/make-appliance.ts';
import { createAttempt } from './attempt.ts';
import { type Fate, fateAt, Killed, mortalContext, NO_FATE } from './killed-attempts.ts';

type CommandHook = Extract<Hook, { kind: 'command' }>;
type HttpHook = Extract<Hook, { kind: 'http' }>;
type Asked = { method: string; url: string; headers: Record<string, unknown>; body: string };

let folder: TempFolder;
let server: Server;
let address: string;
let asked: Asked[];
let answer: { status: number; text: string; location?: string } | null;

beforeAll(async () => {
  folder = await makeTempFolder();
  server = createServer(async (request, response) => {
    const pieces: Buffer[] = [];
    for await (const piece of request) pieces.push(piece as Buffer);
    const { method = '', url = '', headers } = request;
    asked.push({ method, url, headers, body: Buffer.concat(pieces).toString() });
    // No answer at all is one that hangs.
    const { status = 0, text, location } = answer ?? {};
    if (status !== 0) response.writeHead(status, location ? { location } : {}).end(text);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const bound = server.address();
  address = `http://127.0.0.1:${typeof bound === 'object' ? bound?.port : ''}`;
});
afterAll(async () => {
  server.closeAllConnections();
  server.close();
  await folder[Symbol.asyncDispose]();
});
beforeEach(() => {
  asked = [];
  answer = { status: 200, text: 'ok' };
});

const at = 'before-shutdown';
const shell = (script: string, more: Partial<CommandHook> = {}): Hook => ({
  kind: 'command',
  at,
  command: ['sh', '-c', script],
  timeoutSeconds: 20,
  onFailure: 'fail',
  ...more,
});
const call = (more: Partial<HttpHook> = {}): Hook => ({
  kind: 'http',
  at,
  method: 'POST',
  url: `${address}/drain`,
  headers: {},
  body: null,
  timeoutSeconds: 20,
  onFailure: 'fail',
  ...more,
});

function prepare(
  hooks: readonly Hook[],
  { signal, uuid = null }: { signal?: AbortSignal; uuid?: string | null } = {},
) {
  const plain = createRecord({ machine: { ...createMachine(), uuid } });
  const landing = { kind: 'fake', id: 'i-1', ref: {}, address: '10.0.0.7' };
  const record = { ...plain, landing, plan: { ...plain.plan, hooks } };
  const state = createDurableState();
  const attempt = (fate: Fate = NO_FATE) => {
    const input = createAttempt({
      record,
      state,
      waveFolder: folder.path,
      ...(signal === undefined ? {} : { signal }),
    });
    return { ...input, context: mortalContext(input.context, fate) };
  };
  return { attempt, state };
}

const said = async (name: string) => (await readFile(join(folder.path, name), 'utf8')).trim().split('\n');

/** Is this process, by the id that it wrote, still there? */
async function isAlive(name: string): Promise<boolean> {
  const [pid = ''] = await said(name);
  const state = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  return state !== '' && !/\) Z /.test(state);
}

describe('a command', () => {
  it('runs in the folder of the wave and is told of which machine it is', async () => {
    const script =
      'echo "$LANDFALL_RUN $LANDFALL_MACHINE $LANDFALL_MOMENT $LANDFALL_LANDING $LANDFALL_ADDRESS" > told';
    const { attempt } = prepare([shell(script)]);
    const input = attempt();
    await runHooks(input, at);
    expect(await said('told')).toEqual(['run-1 web01 before-shutdown i-1 10.0.0.7']);
    expect(input.context.logs).toMatchObject([
      { level: 'info', message: expect.stringContaining('status 0') },
    ]);
  });

  it('of another moment is left alone', async () => {
    const { attempt } = prepare([shell('echo no > other', { at: 'after-landing' })]);
    await runHooks(attempt(), at);
    await expect(said('other')).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('that fails fails its machine, with the end of what it said, and is done again by a retry', async () => {
    const { attempt } = prepare([
      shell('echo one >> first'),
      shell('echo two >> second; echo "pool is \x1b[31mfull" >&2; test -e mended'),
      shell('echo three >> third'),
    ]);
    const input = attempt();
    const failed = {
      code: 'hook-failed',
      retryable: true,
      message: expect.stringMatching(
        /before-shutdown of web01 .*status 1: pool is full.*landfall retry run-1 web01/,
      ),
    };
    await expect(runHooks(input, at)).rejects.toMatchObject(failed);
    expect(input.context.logs.at(-1)?.fields).toMatchObject({ output: 'pool is full' });
    await writeFile(join(folder.path, 'mended'), '');
    await runHooks(attempt(), at);
    await runHooks(attempt(), at);
    expect(await said('first')).toEqual(['one']);
    expect(await said('second')).toEqual(['two', 'two']);
    expect(await said('third')).toEqual(['three']);
  });

  it('that fails where the wave only wants a warning lets the machine go on', async () => {
    const { attempt } = prepare([shell('exit 3', { onFailure: 'warn' }), shell('echo on >> went')]);
    const input = attempt();
    await runHooks(input, at);
    expect(input.context.logs[0]).toMatchObject({
      level: 'warn',
      message: expect.stringContaining('status 3'),
    });
    expect(await said('went')).toEqual(['on']);
  });

  it('that hangs is ended with all that it started', async () => {
    const script = `sh -c 'trap "" TERM; echo $$ > grandchild; while :; do sleep 0.2; done' & echo $$ > child; wait`;
    const { attempt } = prepare([shell(script, { timeoutSeconds: 1 })]);
    await expect(runHooks(attempt(), at)).rejects.toMatchObject({
      code: 'hook-failed',
      retryable: true,
      message: expect.stringContaining('did not end within 1 s'),
    });
    expect(await isAlive('child')).toBe(false);
    await expect.poll(() => isAlive('grandchild'), { timeout: 5_000 }).toBe(false);
  });

  it('ends with the attempt, and counts as not done', async () => {
    const reason = new Error('the lease was lost');
    const stop = new AbortController();
    const { attempt, state } = prepare([shell('echo $$ > stopped; sleep 60')], { signal: stop.signal });
    const running = runHooks(attempt(), at);
    const begun = () => said('stopped').catch(() => []);
    await expect.poll(begun, { timeout: 10_000, interval: 20 }).toHaveLength(1);
    stop.abort(reason);
    await expect(running).rejects.toBe(reason);
    expect(await isAlive('stopped')).toBe(false);
    expect(state.checkpoints.size).toBe(0);
  });

  it('ends with all that it started when its worker is killed: another one does it again', async () => {
    const module = new URL('../../src/stages/operator-command.ts', import.meta.url).href;
    const script = 'sh -c "echo \\$\\$ > orphan; while :; do sleep 0.2; done" & wait';
    const program = `
      import { runOperatorCommand } from ${JSON.stringify(module)};
      const rest = { environment: {}, timeoutMs: 60_000, signal: new AbortController().signal };
      await runOperatorCommand({ command: ['sh', '-c', ${JSON.stringify(script)}], folder: ${JSON.stringify(folder.path)}, ...rest });
    `;
    const worker = spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: 'ignore' });
    const begun = () => said('orphan').catch(() => []);
    await expect.poll(begun, { timeout: 10_000, interval: 20 }).toEqual([expect.stringMatching(/\d/)]);
    expect(await isAlive('orphan')).toBe(true);
    worker.kill('SIGKILL');
    await expect.poll(() => isAlive('orphan'), { timeout: 5_000 }).toBe(false);
  });

  it('that is not there is told by its name, and not tried again', async () => {
    const { attempt } = prepare([shell('', { command: ['./no-such-hook', '-x'] })]);
    await expect(runHooks(attempt(), at)).rejects.toMatchObject({
      code: 'hook-failed',
      retryable: false,
      message: expect.stringContaining('no program "./no-such-hook"'),
    });
  });

  it('may be a script beside the wave', async () => {
    await writeFile(join(folder.path, 'drain.sh'), '#!/bin/sh\necho "$1" > drained\n');
    await chmod(join(folder.path, 'drain.sh'), 0o755);
    const { attempt } = prepare([shell('', { command: ['./drain.sh', 'a b'] })]);
    await runHooks(attempt(), at);
    expect(await said('drained')).toEqual(['a b']);
  });

  it('is done once wherever its worker is killed, but for the one that was under way', async () => {
    for (let point = 0; ; point += 1) {
      const { attempt } = prepare([shell(`echo a >> k${point}a`), shell(`echo b >> k${point}b`)]);
      const fate = fateAt(point);
      await runHooks(attempt(fate), at).catch((error: unknown) => expect(error).toBeInstanceOf(Killed));
      await runHooks(attempt(), at);
      const done = [...(await said(`k${point}a`)), ...(await said(`k${point}b`))];
      expect(done.length).toBeLessThanOrEqual(3);
      if (!fate.hasStruck()) {
        expect(done).toEqual(['a', 'b']);
        expect(point).toBe(4);
        return;
      }
    }
  });

  it('comes again once the machine begins anew', async () => {
    const { attempt } = prepare([shell('echo x >> anew')]);
    await runHooks(attempt(), at);
    await forgetHooks(attempt().context);
    await runHooks(attempt(), at);
    expect(await said('anew')).toEqual(['x', 'x']);
  });
});

describe('a call', () => {
  it('without a body tells the facts', async () => {
    const { attempt } = prepare([call({ url: `${address}/drain/{machine}?run={run}` })]);
    await runHooks(attempt(), at);
    expect(asked).toMatchObject([
      { method: 'POST', url: '/drain/web01?run=run-1', headers: { 'content-type': 'application/json' } },
    ]);
    expect(JSON.parse(asked[0]?.body ?? '')).toEqual({
      moment: at,
      run: 'run-1',
      machine: 'web01',
      uuid: null,
      landing: 'i-1',
      address: '10.0.0.7',
    });
  });

  it('says what the wave says, and keeps what variables hold out of events', async () => {
    process.env.LANDFALL_TEST_TOKEN = 's3cr3t';
    const headers = { authorization: `Bearer \${env:LANDFALL_TEST_TOKEN}` };
    const { attempt } = prepare([call({ headers, body: 'drain {machine} at {address} {now}' })]);
    answer = { status: 200, text: 'welcome, s3cr3t' };
    const input = attempt();
    await runHooks(input, at);
    delete process.env.LANDFALL_TEST_TOKEN;
    expect(asked).toMatchObject([
      { headers: { authorization: 'Bearer s3cr3t' }, body: 'drain web01 at 10.0.0.7 {now}' },
    ]);
    expect(JSON.stringify(input.context.logs)).not.toContain('s3cr3t');
    await expect(runHooks(prepare([call({ headers })]).attempt(), at)).rejects.toMatchObject({
      code: 'hook-failed',
      message: expect.stringContaining('LANDFALL_TEST_TOKEN'),
    });
  });

  it.each([
    [404, false],
    [429, true],
    [503, true],
  ])('that is answered with %s fails; to be tried again: %s', async (status, retryable) => {
    answer = { status, text: 'not now' };
    const { attempt } = prepare([call()]);
    await expect(runHooks(attempt(), at)).rejects.toMatchObject({
      code: 'hook-failed',
      retryable,
      message: expect.stringContaining(`status ${status}: not now`),
    });
  });

  it('resolves what the wave refers to, and nothing that a machine is called', async () => {
    process.env.LANDFALL_TEST_TOKEN = 's3cr3t';
    const uuid = `\${env:LANDFALL_TEST_TOKEN}`;
    const { attempt } = prepare([call(), call({ body: 'drain {uuid}' })], { uuid });
    await runHooks(attempt(), at);
    delete process.env.LANDFALL_TEST_TOKEN;
    expect(asked.map(({ body }) => body)).toEqual([expect.stringContaining(uuid), `drain ${uuid}`]);
  });

  it('that is led elsewhere fails: followed, it would come there without its body, or with its secrets', async () => {
    answer = { status: 302, text: '', location: '/login' };
    const { attempt } = prepare([call()]);
    await expect(runHooks(attempt(), at)).rejects.toMatchObject({
      code: 'hook-failed',
      retryable: false,
      message: expect.stringContaining(`status 302, which leads to ${address}/login`),
    });
    expect(asked).toHaveLength(1);
  });

  it('keeps what variables hold out of events where the address itself is refused', async () => {
    process.env.LANDFALL_TEST_TOKEN = 's3cr3t wörd';
    const url = `http://drain:\${env:LANDFALL_TEST_TOKEN}@127.0.0.1:1/x`;
    const refused = runHooks(prepare([call({ url })]).attempt(), at);
    await expect(refused).rejects.toMatchObject({ message: expect.not.stringMatching(/s3cr3t/) });
    delete process.env.LANDFALL_TEST_TOKEN;
  });

  it('that nobody answers ends in time', async () => {
    answer = null;
    const { attempt } = prepare([call({ timeoutSeconds: 0.3 })]);
    const silent = { code: 'hook-failed', message: expect.stringContaining('within 0.3 s') };
    await expect(runHooks(attempt(), at)).rejects.toMatchObject(silent);
    const nobody = prepare([call({ url: 'http://127.0.0.1:1/' })]).attempt();
    await expect(runHooks(nobody, at)).rejects.toMatchObject({
      code: 'hook-failed',
      retryable: true,
      message: expect.stringMatching(/ECONNREFUSED|bad port/),
    });
  });
});
