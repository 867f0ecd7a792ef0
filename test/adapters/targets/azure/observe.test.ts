import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { VirtualMachineInstanceView } from '@azure/arm-compute';
import { PNG } from 'pngjs';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { readBlobTail } from '../../../../adapters/targets/azure/boot-diagnostics.ts';
import { checksOf, stateOf } from '../../../../adapters/targets/azure/observe.ts';
import type { Landing, Observation } from '../../../../src/domain/landing.ts';
import type { FakeStepContext } from '../../../fakes/step-context.ts';
import { FAST, GROUP } from '../../../sandbox/azure/fixture.ts';
import { attemptOf, type MachineGround, openMachineGround } from './machine-ground.ts';

const RUN = 'observed';

let ground: MachineGround;
let context: FakeStepContext;
let landing: Landing;

beforeAll(async () => {
  ground = await openMachineGround();
  context = attemptOf(RUN);
  const text = 'Starting Azure Linux Agent\nweb01 login: ';
  landing = await ground.land(await ground.prepare(context, { text }), context);
}, 60_000);
afterEach(() => {
  ground.fixture.sandbox.faults.clear();
  ground.fixture.sandbox.rights.reset();
});
afterAll(() => ground[Symbol.asyncDispose](), 60_000);

const look = (attempt = attemptOf(RUN)): Promise<Observation> => ground.observe(landing, attempt);
const refuse = (action: string, status: number, code: string, more: object = {}): void =>
  ground.fixture.sandbox.faults.add({ service: 'arm', action, error: { status, code }, times: 20, ...more });

describe('a machine that runs', () => {
  test('is seen with its console, its screen as PNG, and its agent', async () => {
    await expect.poll(async () => (await look()).console, { timeout: 20_000 }).toContain('web01 login:');
    // The agent reports in its own time.
    await expect
      .poll(async () => (await look()).checks, { timeout: 20_000 })
      .toEqual([
        { name: 'provisioning', state: 'ok', detail: 'Provisioning succeeded' },
        { name: 'VM agent', state: 'ok', detail: '2.0 Guest Agent is running' },
      ]);
    const { state, screenshot } = await look();
    expect(state).toBe('running');
    const { width, height } = PNG.sync.read(Buffer.from(screenshot ?? []));
    expect(width * height).toBeGreaterThan(100_000);
  });

  test('is seen where its console and its screen are not there yet', async () => {
    refuse('VirtualMachines_RetrieveBootDiagnosticsData', 409, 'OperationNotAllowed');
    expect(await look()).toMatchObject({ state: 'running', console: '', screenshot: null });
  });

  test('is seen where its screen cannot be read, and that is logged', async () => {
    const { faults } = ground.fixture.sandbox;
    const attempt = attemptOf(RUN);
    faults.add({
      service: 'blob',
      action: 'GetScreenshot',
      error: { status: 403, code: 'AuthenticationFailed' },
      times: 20,
    });
    expect(await look(attempt)).toMatchObject({ state: 'running', screenshot: null });
    expect(attempt.logs).toMatchObject([
      {
        level: 'warn',
        message: expect.stringMatching(/Taking a screenshot .* of web01 .*this host's clock/),
      },
    ]);
  });

  test('whose console cannot be read for a while is looked at again within seconds', async () => {
    const { faults } = ground.fixture.sandbox;
    faults.add({
      service: 'blob',
      action: 'GetSerialConsole',
      error: { status: 503, code: 'ServerBusy' },
      times: 20,
    });
    const startedAt = performance.now();
    await expect(look()).rejects.toMatchObject({ code: 'target-unavailable', retryable: true });
    expect(performance.now() - startedAt).toBeLessThan(5_000);
  }, 30_000);

  test('whose console is refused for the address is looked at again with another one', async () => {
    const error = { status: 403, code: 'AuthenticationFailed' };
    ground.fixture.sandbox.faults.add({ service: 'blob', action: 'GetSerialConsole', error });
    await expect(look()).rejects.toMatchObject({ code: 'target-denied', retryable: true });
    expect((await look()).console).toContain('web01 login:');
  });
});

describe('Resource Manager', () => {
  test('that throttles is asked again when it says', async () => {
    const error = { status: 429, code: 'TooManyRequests', retryAfterSeconds: 1 };
    ground.fixture.sandbox.faults.add({ service: 'arm', action: 'VirtualMachines_InstanceView', error });
    const startedAt = performance.now();
    expect((await look()).state).toBe('running');
    expect(performance.now() - startedAt).toBeGreaterThan(950);
  });

  test('that denies a look is told with the action', async () => {
    ground.fixture.sandbox.rights.deny(
      'Microsoft.Compute/virtualMachines/retrieveBootDiagnosticsData/action',
    );
    await expect(look()).rejects.toMatchObject({
      code: 'target-denied',
      message: expect.stringContaining(
        'Grant Microsoft.Compute/virtualMachines/retrieveBootDiagnosticsData/action',
      ),
    });
  });

  test('whose resource group is away does not mean that the machine is gone', async () => {
    refuse('VirtualMachines_Get', 404, 'ResourceGroupNotFound');
    await expect(look()).rejects.toMatchObject({
      code: 'target-missing',
      message: expect.stringContaining('`resourceGroup`'),
    });
  });
});

describe('a machine that somebody', () => {
  test('stopped keeps its last words', async () => {
    await ground.fixture.compute.virtualMachines.powerOff(GROUP, 'web01', { skipShutdown: true, ...FAST });
    expect(await look()).toMatchObject({
      state: 'stopped',
      console: expect.stringContaining('web01 login:'),
      screenshot: null,
    });
  });

  test('deallocated is stopped, too', async () => {
    await ground.fixture.compute.virtualMachines.deallocate(GROUP, 'web01', FAST);
    expect((await look()).state).toBe('stopped');
  });

  test('replaced by another of the same name is gone', async () => {
    const { compute } = ground.fixture;
    const { tags: _, ...parts } = await compute.virtualMachines.get(GROUP, 'web01');
    await compute.virtualMachines.delete(GROUP, 'web01', { forceDeletion: true, ...FAST });
    const { location, hardwareProfile, storageProfile, networkProfile } = parts;
    const osDisk = storageProfile?.osDisk;
    await compute.virtualMachines.createOrUpdate(
      GROUP,
      'web01',
      {
        location,
        hardwareProfile: hardwareProfile ?? {},
        storageProfile: {
          osDisk: {
            createOption: 'Attach',
            osType: 'Linux',
            managedDisk: { id: osDisk?.managedDisk?.id as string },
          },
        },
        networkProfile: { networkInterfaces: [{ id: networkProfile?.networkInterfaces?.[0]?.id as string }] },
      },
      FAST,
    );
    expect(await look()).toEqual({ state: 'gone', checks: [], console: '', screenshot: null });
    await compute.virtualMachines.delete(GROUP, 'web01', { forceDeletion: true, ...FAST });
  });

  test('deleted is gone', async () => {
    expect(await look()).toEqual({ state: 'gone', checks: [], console: '', screenshot: null });
  });
});

describe('what Azure says of a machine', () => {
  const view = (...codes: string[]): VirtualMachineInstanceView => ({
    statuses: codes.map((code) => ({ code })),
  });

  test.each([
    ['PowerState/running', 'running'],
    ['PowerState/starting', 'starting'],
    ['PowerState/unknown', 'starting'],
    ['ProvisioningState/creating', 'starting'],
    ['PowerState/stopping', 'stopped'],
    ['PowerState/stopped', 'stopped'],
    ['PowerState/deallocating', 'stopped'],
    ['PowerState/deallocated', 'stopped'],
  ])('%s means %s', (code, state) => {
    expect(stateOf(view(code))).toBe(state);
  });

  test('of its provisioning and its disks is a check where it failed, and waited for where it is not told', () => {
    expect(checksOf({})).toEqual([{ name: 'provisioning', state: 'pending', detail: 'not told yet' }]);
    const failed = view('ProvisioningState/failed/AllocationFailed', 'PowerState/running');
    const disks = [
      { name: 'sound', statuses: [{ code: 'ProvisioningState/succeeded' }] },
      { name: 'broken', statuses: [{ code: 'ProvisioningState/failed', message: 'no such blob' }] },
    ];
    expect(checksOf({ ...failed, disks })).toEqual([
      { name: 'provisioning', state: 'failed', detail: 'ProvisioningState/failed/AllocationFailed' },
      { name: 'disk broken', state: 'failed', detail: 'no such blob' },
    ]);
  });

  test('of an agent that is not ready is no check: a guest need not have one', () => {
    const vmAgent = { vmAgentVersion: 'Unknown', statuses: [{ displayStatus: 'Not Ready' }] };
    expect(checksOf({ vmAgent }).map(({ name }) => name)).toEqual(['provisioning']);
  });
});

describe('the end of a blob', () => {
  const call = { doing: 'Reading', action: 'Get Blob', resource: 'a blob' };

  test.each<[string, { length: number; answer: number }, string | null]>([
    ['that is longer than what is taken is read from there', { length: 26, answer: 206 }, 'vwxyz'],
    ['that is shorter is all of it', { length: 3, answer: 206 }, 'abc'],
    ['that is empty is not asked for', { length: 0, answer: 500 }, null],
    ['that began anew meanwhile is nothing', { length: 26, answer: 416 }, null],
  ])('%s', async (_, { length, answer }, wanted) => {
    const text = 'abcdefghijklmnopqrstuvwxyz'.slice(0, length);
    const server = createServer(({ method, headers }, response) => {
      const [, start = '0'] = /bytes=(\d+)-/.exec(String(headers['x-ms-range'])) ?? [];
      if (method === 'HEAD') response.writeHead(200, { 'content-length': text.length, etag: '"1"' }).end();
      else if (answer === 206) sendPiece(response, text.slice(Number(start)));
      else response.writeHead(answer, { 'x-ms-error-code': 'InvalidRange' }).end();
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}/container/blob`;
    try {
      const tail = await readBlobTail(address, { call, maxBytes: 5, signal: AbortSignal.timeout(5_000) });
      expect(tail?.toString() ?? null).toBe(wanted);
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });
});

function sendPiece(response: ServerResponse, piece: string): void {
  response.writeHead(206, { 'content-length': piece.length, etag: '"1"' }).end(piece);
}
