/** What Azure may answer on the way to a machine that the sandbox never does. */
import type { NetworkInterface } from '@azure/arm-network';
import { expect, test } from 'vitest';
import type { Azure } from '../../../../adapters/targets/azure/clients.ts';
import { isHeld, moveInterface } from '../../../../adapters/targets/azure/network-interface.ts';
import { startMachine } from '../../../../adapters/targets/azure/virtual-machine.ts';
import { createManualClock, createStepContext } from '../../../fakes/step-context.ts';
import { machineWith } from '../machines.ts';

const options = { resourceGroup: 'g', location: 'here' };

test('a machine that was accepted and never shows is a failed try, not asked for again for ever', async () => {
  const clock = createManualClock();
  const context = createStepContext({ clock });
  let requests = 0;
  const virtualMachines = {
    get: async () => {
      throw Object.assign(new Error('not found'), { code: 'ResourceNotFound', statusCode: 404 });
    },
    createOrUpdate: () => {
      requests += 1;
      return { submitted: async () => {} };
    },
  };
  const azure = { options, polling: {}, compute: { virtualMachines } } as unknown as Azure;
  const step = () =>
    startMachine(azure, {
      machine: machineWith(),
      to: {},
      disks: { '0': '/disk' },
      networkInterface: '/nic',
      context,
    });
  expect(await step()).toMatchObject({ kind: 'wait' });
  expect(await step()).toMatchObject({ kind: 'wait' });
  clock.advance(61_000);
  await expect(step()).rejects.toMatchObject({ code: 'import-failed', retryable: true });
  expect(requests).toBe(1);
  expect((await context.ledger.entries()).map(({ state }) => state)).toEqual(['failed']);
});

test('an interface is moved as it was read only, and held once Azure says so', async () => {
  const context = createStepContext();
  let nic: NetworkInterface = {
    name: 'nic',
    etag: 'W/"1"',
    provisioningState: 'Succeeded',
    networkSecurityGroup: { id: '/quarantine' },
  };
  const sent: unknown[] = [];
  const networkInterfaces = {
    get: async () => nic,
    createOrUpdate: (_: string, __: string, wanted: NetworkInterface, asked: object) => {
      sent.push(asked);
      nic = wanted;
      return { pollUntilDone: async () => wanted };
    },
  };
  const azure = { options, polling: {}, network: { networkInterfaces } } as unknown as Azure;
  const moved = await moveInterface(azure, nic, { group: '/web', doing: 'Admitting web01', context });
  expect(isHeld(moved, '/Web')).toBe(true);
  expect(isHeld({ ...moved, provisioningState: 'Updating' }, '/web')).toBe(false);
  expect(sent).toMatchObject([{ requestOptions: { headers: { 'If-Match': 'W/"1"' } } }]);
});
