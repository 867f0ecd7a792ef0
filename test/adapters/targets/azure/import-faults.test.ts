/** What stands in the way of a machine: Azure's own refusals, and those of a bad day. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { quarantineName } from '../../../../adapters/targets/azure/names.ts';
import type { InjectedError } from '../../../../src/sandbox/faults.ts';
import { GROUP } from '../../../sandbox/azure/fixture.ts';
import { type MachineGround, openMachineGround, type Prepared } from './machine-ground.ts';

const CREATE = 'VirtualMachines_CreateOrUpdate';

let ground: MachineGround;

beforeAll(async () => {
  ground = await openMachineGround({
    limits: { cores: 8, exhaustedSizes: ['Standard_E2s_v5'], guestMemoryMib: 128 },
  });
}, 60_000);
afterEach(() => {
  ground.fixture.sandbox.faults.clear();
  ground.fixture.sandbox.rights.reset();
});
afterAll(() => ground[Symbol.asyncDispose](), 60_000);

function refuse(action: string, error: InjectedError, times = 20): void {
  ground.fixture.sandbox.faults.add({ service: 'arm', action, error, times });
}

async function onlyMachine() {
  return ground.fixture.compute.virtualMachines.get(GROUP, 'web01');
}

describe('a machine that Azure cannot start', () => {
  test('is removed, and the next try makes another one of the same disks', async () => {
    await ground.inRun('sold-out', {}, async (work, attempt) => {
      refuse(
        CREATE,
        { status: 409, code: 'AllocationFailed', message: 'No capacity here.', isLate: true },
        1,
      );
      const state = attempt().state;
      await expect(ground.land(work, attempt())).rejects.toMatchObject({
        code: 'import-failed',
        retryable: true,
        message: expect.stringMatching(/could not start the virtual machine web01.*The disks are kept/),
      });
      expect((await ground.kinds('sold-out')).sort()).toEqual([
        'disk',
        'network-interface',
        'security-group',
      ]);
      const landing = await ground.land(work, attempt());
      expect((await ground.observe(landing, attempt())).state).toBe('running');
      const tries = state.ledger
        .filter(({ thing }) => thing === 'virtual-machine')
        .map((entry) => entry.state);
      expect(tries).toEqual(['failed', 'done']);
    });
  }, 60_000);

  test.each<[string, Prepared, object]>([
    ['over quota', { to: { size: 'Standard_D16s_v5' } }, { code: 'target-limit', retryable: true }],
    [
      'of a size that is sold out',
      { to: { size: 'Standard_E2s_v5' } },
      { code: 'target-refused', retryable: false },
    ],
    ['too large for any size', { traits: { cpus: 500 } }, { code: 'target-refused', retryable: false }],
  ])('%s is refused with what to do', async (_, prepared, error) => {
    await ground.inRun('refused', prepared, async (work, attempt) => {
      await expect(ground.land(work, attempt())).rejects.toMatchObject(error);
      expect(await ground.kinds('refused')).not.toContain('virtual-machine');
    });
  });

  test('at an address that something has is refused, and may be tried again', async () => {
    await ground.inRun('neighbour', { to: { privateIp: '10.20.3.3' } }, async (work, attempt) => {
      await ground.land(work, attempt());
      await ground.inRun(
        'latecomer',
        { to: { privateIp: '10.20.3.3', name: 'web02' } },
        async (other, late) => {
          await expect(ground.land(other, late())).rejects.toMatchObject({
            code: 'target-refused',
            retryable: true,
            message: expect.stringContaining('`privateIp`'),
          });
        },
      );
    });
  }, 60_000);
});

describe('Resource Manager', () => {
  test('that loses its answer has made one machine, which the next call finds', async () => {
    await ground.inRun('lost', {}, async (work, attempt) => {
      ground.fixture.sandbox.faults.add({ service: 'arm', action: CREATE, dropAnswer: true, times: 1 });
      await ground.step(work, attempt()).catch((error: unknown) => {
        expect(error).toMatchObject({ retryable: true });
      });
      const landing = await ground.land(work, attempt());
      expect(landing.ref.vmId).toBe((await onlyMachine()).vmId);
    });
  }, 60_000);

  test('that throttles and is away for a moment is asked again, not before Retry-After', async () => {
    await ground.inRun('throttled', {}, async (work, attempt) => {
      refuse(CREATE, { status: 429, code: 'TooManyRequests', retryAfterSeconds: 1 }, 1);
      refuse('NetworkInterfaces_CreateOrUpdate', { status: 503, code: 'ServiceUnavailable' }, 1);
      const startedAt = performance.now();
      await ground.land(work, attempt());
      expect(performance.now() - startedAt).toBeGreaterThan(950);
    });
  }, 60_000);

  test.each<[string, string, InjectedError, object]>([
    [
      'busy with it',
      CREATE,
      { status: 409, code: 'AnotherOperationInProgress' },
      { code: 'target-unavailable', retryable: true },
    ],
    [
      'away for long',
      CREATE,
      { status: 503, code: 'ServiceUnavailable' },
      { code: 'target-unavailable', retryable: true },
    ],
    [
      'without its resource group',
      'Disks_Get',
      { status: 404, code: 'ResourceGroupNotFound' },
      { code: 'target-missing', message: expect.stringContaining('`resourceGroup`') },
    ],
    [
      'without the group of the run any more',
      'NetworkInterfaces_CreateOrUpdate',
      {
        status: 400,
        code: 'InvalidResourceReference',
        message: 'Resource QUARANTINE referenced by resource web01-nic was not found.',
      },
      { code: 'target-unavailable', retryable: true, message: expect.stringContaining('made again') },
    ],
  ])(
    'that is %s is told so',
    async (_, action, error, expected) => {
      await ground.inRun('troubled', {}, async (work, attempt) => {
        const { subscriptionId } = ground.fixture.sandbox;
        const quarantine = `/subscriptions/${subscriptionId}/resourceGroups/${GROUP}/providers/Microsoft.Network/networkSecurityGroups/${quarantineName('troubled')}`;
        const message = error.message?.replace('QUARANTINE', quarantine);
        refuse(action, { ...error, ...(message === undefined ? {} : { message }) });
        await expect(ground.land(work, attempt())).rejects.toMatchObject(expected);
      });
    },
    60_000,
  );

  test('that denies the look at its own operations names that action', async () => {
    await ground.inRun('unseen', {}, async (work, attempt) => {
      ground.fixture.sandbox.rights.deny('Microsoft.Network/locations/operations/read');
      await expect(ground.land(work, attempt())).rejects.toMatchObject({
        code: 'target-denied',
        message: expect.stringMatching(
          /Grant Microsoft\.Network\/locations\/operations\/read on \/subscriptions/,
        ),
      });
    });
  });

  test('that denies what a machine uses names that action, not the one that was asked for', async () => {
    await ground.inRun('linked', {}, async (work, attempt) => {
      ground.fixture.sandbox.rights.deny('Microsoft.Network/virtualNetworks/subnets/join/action');
      await expect(ground.land(work, attempt())).rejects.toMatchObject({
        code: 'target-denied',
        message: expect.stringMatching(
          /Grant Microsoft\.Network\/virtualNetworks\/subnets\/join\/action on .*subnets\/servers/,
        ),
      });
    });
  });
});
