import { ComputeManagementClient } from '@azure/arm-compute';
import type { NetworkInterface } from '@azure/arm-network';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { startAzureSandbox } from '../../../src/sandbox/azure/server.ts';
import {
  type AzureFixture,
  FAST,
  GROUP,
  grantWrite,
  pagesAt,
  refusalOf,
  startAzureFixture,
  uploadDisk,
} from './fixture.ts';

const VHD_BYTES = 20 * 1024 * 1024 + 512;
const API_VERSION = 'api-version=2021-04-01';

let fixture: AzureFixture;
let now = Date.now();

beforeAll(async () => {
  fixture = await startAzureFixture({
    now: () => now,
    limits: { exhaustedSizes: ['Standard_B1s'], disks: 3, refusedChecksums: ['crc64'] },
  });
});
afterEach(() => {
  fixture.sandbox.faults.clear();
  fixture.sandbox.rights.reset();
});
afterAll(() => fixture[Symbol.asyncDispose]());

const subscription = () => `/subscriptions/${fixture.sandbox.subscriptionId}`;
const group = () => `${subscription()}/resourceGroups/${GROUP}`;

/** What the management clients have no method for. */
async function get(path: string, authorization?: string) {
  const { token } = (await fixture.credential.getToken('https://management.azure.com/.default')) ?? {
    token: '',
  };
  const answer = await fetch(`${fixture.sandbox.url}${path}`, {
    headers: { authorization: authorization ?? `Bearer ${token}` },
  });
  return { status: answer.status, body: (await answer.json()) as Record<string, unknown> };
}

async function all<T>(pages: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const each of pages) found.push(each);
  return found;
}

describe('tokens', () => {
  test('are given to who knows the secret, and end', async () => {
    const { IDENTITY_ENDPOINT = '' } = fixture.sandbox.environment;
    const path = `${IDENTITY_ENDPOINT}?resource=https://management.azure.com&api-version=2019-08-01`;
    expect((await fetch(path, { headers: { 'x-identity-header': 'guess' } })).status).toBe(401);
    expect(fixture.sandbox.requests.received('identity', 'GetToken')).toBeGreaterThan(0);
  });

  test('are asked for, and must be sound and in time', async () => {
    const wanted = (code: string) => ({ status: 401, body: { error: { code } } });
    expect(await get(`${group()}?${API_VERSION}`, '')).toMatchObject(wanted('InvalidAuthenticationToken'));
    expect(await get(`${group()}?${API_VERSION}`, 'Bearer a.b.c')).toMatchObject(
      wanted('InvalidAuthenticationToken'),
    );
    const before = now;
    now += 25 * 60 * 60 * 1000;
    expect(await get(`${group()}?${API_VERSION}`)).toMatchObject(wanted('ExpiredAuthenticationToken'));
    now = before;
  });
});

describe('before anything is made', () => {
  test('groups, locations, permissions, sizes and usages can be asked for', async () => {
    expect(await get(`${group()}?${API_VERSION}`)).toMatchObject({
      status: 200,
      body: { name: GROUP, location: 'westeurope' },
    });
    expect(await get(`${subscription()}/resourceGroups/away?${API_VERSION}`)).toMatchObject({
      status: 404,
      body: { error: { code: 'ResourceGroupNotFound' } },
    });
    const { body } = await get(`${subscription()}/locations?${API_VERSION}`);
    expect(body.value).toContainEqual(expect.objectContaining({ name: 'westeurope' }));
    const skus = await all(fixture.compute.resourceSkus.list({ filter: "location eq 'westeurope'" }));
    const size = skus.find(({ name }) => name === 'Standard_D4s_v5');
    expect(size?.capabilities).toContainEqual({ name: 'vCPUs', value: '4' });
    expect(skus.find(({ name }) => name === 'Standard_B1s')?.restrictions?.[0]?.reasonCode).toBe(
      'NotAvailableForSubscription',
    );
    expect(await all(fixture.compute.resourceSkus.list({ filter: "location eq 'eastus'" }))).toEqual([]);
    const usages = await all(fixture.compute.usage.list('westeurope'));
    expect(usages.find(({ name }) => name?.value === 'cores')).toMatchObject({ currentValue: 0, limit: 100 });
    const subnet = await fixture.network.subnets.get(GROUP, 'landfall-vnet', 'servers');
    expect(subnet.addressPrefix).toBe('10.20.0.0/20');
    expect((await fixture.network.virtualNetworks.get(GROUP, 'landfall-vnet')).subnets).toHaveLength(2);
  });

  test('rights are told and hold', async () => {
    const permissions = `${group()}/providers/Microsoft.Authorization/permissions?api-version=2022-04-01`;
    expect(await get(permissions)).toMatchObject({ body: { value: [{ actions: ['*'], notActions: [] }] } });
    fixture.sandbox.rights.deny('Microsoft.Compute/disks/write');
    expect(await get(permissions)).toMatchObject({
      body: { value: [{ notActions: ['Microsoft.Compute/disks/write'] }] },
    });
    const disk = uploadDisk('westeurope', VHD_BYTES);
    expect(await refusalOf(fixture.compute.disks.createOrUpdate(GROUP, 'denied', disk, FAST))).toMatchObject({
      statusCode: 403,
      code: 'AuthorizationFailed',
    });
    fixture.sandbox.rights.set({ actions: ['Microsoft.Compute/disks/*', '*/read'], notActions: [] });
    await fixture.compute.disks.createOrUpdate(GROUP, 'allowed', disk, FAST);
    await fixture.compute.disks.delete(GROUP, 'allowed', FAST);
  });
});

describe('a disk', () => {
  const create = (name: string, disk = uploadDisk('westeurope', VHD_BYTES), resourceGroup = GROUP) =>
    fixture.compute.disks.createOrUpdate(resourceGroup, name, disk, FAST);

  test('is tagged, listed and made again without harm, but not as another', async () => {
    await create('one');
    await create('one');
    await fixture.compute.disks.update(GROUP, 'one', { tags: { 'landfall:run': 'r1' } }, FAST);
    const listed = await all(fixture.compute.disks.listByResourceGroup(GROUP));
    expect(listed).toMatchObject([
      { name: 'one', tags: { 'landfall:run': 'r1' }, diskState: 'ReadyToUpload' },
    ]);
    const other = uploadDisk('westeurope', VHD_BYTES + 1024 * 1024);
    expect(await refusalOf(create('one', other))).toMatchObject({
      statusCode: 409,
      code: 'PropertyChangeNotAllowed',
    });
    await fixture.compute.disks.delete(GROUP, 'one', FAST);
    await fixture.compute.disks.delete(GROUP, 'one', FAST);
  });

  test('that two ask for at once is made once', async () => {
    const [left, right] = await Promise.all([create('twice'), create('twice')]);
    expect(left.uniqueId).toBe(right.uniqueId);
    await fixture.compute.disks.delete(GROUP, 'twice', FAST);
  });

  test('is refused where its size, name, sku, place or group is wrong, or no more may be made', async () => {
    const cases: [Promise<unknown>, string][] = [
      [refusalOf(create('small', uploadDisk('westeurope', 1024))), 'InvalidParameter'],
      [refusalOf(create('bad name')), 'InvalidParameter'],
      [
        refusalOf(create('sku', { ...uploadDisk('westeurope', VHD_BYTES), sku: { name: 'Floppy' } })),
        'InvalidParameter',
      ],
      [refusalOf(create('place', uploadDisk('atlantis', VHD_BYTES))), 'LocationNotAvailableForResourceType'],
      [refusalOf(create('group', uploadDisk('westeurope', VHD_BYTES), 'away')), 'ResourceGroupNotFound'],
      [
        refusalOf(create('zone', { ...uploadDisk('westeurope', VHD_BYTES), zones: ['9'] })),
        'InvalidAvailabilityZone',
      ],
    ];
    for (const [refusal, code] of cases) expect(await refusal).toMatchObject({ code });
    for (const name of ['q1', 'q2', 'q3']) await create(name);
    expect(await refusalOf(create('q4'))).toMatchObject({
      code: 'OperationNotAllowed',
      message: expect.stringContaining('quota'),
    });
    for (const name of ['q1', 'q2', 'q3']) await fixture.compute.disks.delete(GROUP, name, FAST);
  });
});

describe('a network interface', () => {
  const subnet = (name = 'servers') => ({
    id: `${group()}/providers/Microsoft.Network/virtualNetworks/landfall-vnet/subnets/${name}`,
  });
  const groupId = (name: string) => ({
    id: `${group()}/providers/Microsoft.Network/networkSecurityGroups/${name}`,
  });
  const make = (name: string, address: object, more: Partial<NetworkInterface> = {}) =>
    fixture.network.networkInterfaces.createOrUpdate(
      GROUP,
      name,
      {
        location: 'westeurope',
        ipConfigurations: [{ name: 'primary', subnet: subnet(), ...address }],
        ...more,
      },
      FAST,
    );

  test('has its address, goes from one security group to another, and is removed', async () => {
    const { network } = fixture;
    const rule = {
      name: 'deny',
      priority: 100,
      direction: 'Inbound',
      access: 'Deny',
      protocol: '*',
      sourceAddressPrefix: '*',
      destinationAddressPrefix: '*',
      sourcePortRange: '*',
      destinationPortRange: '*',
    };
    const quarantine = await network.networkSecurityGroups.createOrUpdate(
      GROUP,
      'quarantine',
      { location: 'westeurope', securityRules: [rule] },
      FAST,
    );
    expect(quarantine.defaultSecurityRules).toHaveLength(6);
    const fixed = { privateIPAddress: '10.20.0.10', privateIPAllocationMethod: 'Static' };
    const made = await make('web-nic', fixed, { networkSecurityGroup: groupId('quarantine') });
    expect(made.ipConfigurations?.[0]).toMatchObject(fixed);
    expect(await refusalOf(network.networkSecurityGroups.delete(GROUP, 'quarantine', FAST))).toMatchObject({
      code: 'InUseNetworkSecurityGroupCannotBeDeleted',
    });
    // As an update is made: what is there, with another group.
    const again = await network.networkInterfaces.createOrUpdate(
      GROUP,
      'web-nic',
      { ...made, networkSecurityGroup: groupId('web') },
      FAST,
    );
    expect(again.networkSecurityGroup?.id).toBe(groupId('web').id);
    await network.networkSecurityGroups.delete(GROUP, 'quarantine', FAST);
    const left = await all(network.networkSecurityGroups.list(GROUP));
    expect(left.map(({ name }) => name)).toEqual(['web', 'db']);
    expect(await refusalOf(make('taken-nic', fixed))).toMatchObject({ code: 'PrivateIPAddressIsAllocated' });
    await network.networkInterfaces.delete(GROUP, 'web-nic', FAST);
    expect(await all(network.networkInterfaces.list(GROUP))).toEqual([]);
  });

  test('is refused with an address, a subnet or a group that is not there, and without the right to join', async () => {
    const fixed = (privateIPAddress: string) => ({ privateIPAddress, privateIPAllocationMethod: 'Static' });
    expect(await refusalOf(make('n', fixed('10.99.0.1')))).toMatchObject({
      code: 'PrivateIPAddressNotInSubnet',
    });
    expect(await refusalOf(make('n', fixed('10.20.0.1')))).toMatchObject({
      code: 'PrivateIPAddressInReservedRange',
    });
    expect(await refusalOf(make('n', { subnet: subnet('away') }))).toMatchObject({
      code: 'InvalidResourceReference',
    });
    expect(await refusalOf(make('n', {}, { networkSecurityGroup: groupId('away') }))).toMatchObject({
      code: 'InvalidResourceReference',
    });
    fixture.sandbox.rights.deny('Microsoft.Network/virtualNetworks/subnets/join/action');
    expect(await refusalOf(make('n', {}))).toMatchObject({
      statusCode: 403,
      code: 'LinkedAuthorizationFailed',
    });
  });
});

describe('faults', () => {
  test('answer with an error and Retry-After, once or later in the operation', async () => {
    const { faults } = fixture.sandbox;
    faults.add({
      service: 'arm',
      action: 'Disks_Get',
      error: { status: 429, code: 'TooManyRequests', retryAfterSeconds: 1 },
    });
    const patient = new ComputeManagementClient(fixture.credential, fixture.sandbox.subscriptionId, {
      endpoint: fixture.sandbox.url,
    });
    const started = performance.now();
    expect(await refusalOf(patient.disks.get(GROUP, 'away'))).toMatchObject({ statusCode: 404 });
    expect(performance.now() - started).toBeGreaterThan(900);

    faults.add({
      service: 'arm',
      action: 'Disks_CreateOrUpdate',
      error: { status: 409, code: 'AllocationFailed', isLate: true },
    });
    const created = refusalOf(
      fixture.compute.disks.createOrUpdate(GROUP, 'late', uploadDisk('westeurope', VHD_BYTES), FAST),
    );
    expect((await created).message).toContain('AllocationFailed');
  });

  test('meet pages by their offset, and checksums that the endpoint does not take', async () => {
    const pages = await fixture.openUpload('faulty', VHD_BYTES);
    const { faults, requests } = fixture.sandbox;
    faults.add({
      service: 'blob',
      action: 'PutPage',
      offsetBytes: 512,
      error: { status: 503, code: 'ServerBusy' },
    });
    faults.add({ service: 'blob', action: 'PutPage', offsetBytes: 1024, dropAfterBytes: 256 });
    const write = (offset: number) => pages.uploadPages(Buffer.alloc(512, 1), offset, 512);
    await write(0);
    expect(await refusalOf(write(512))).toMatchObject({ statusCode: 503, code: 'ServerBusy' });
    await expect(write(1024)).rejects.toThrow();
    await write(512);
    expect([...requests.writtenPages('faulty')]).toEqual([
      [0, 1],
      [512, 1],
    ]);
    const crc64 = refusalOf(
      pages.uploadPages(Buffer.alloc(512), 0, 512, { transactionalContentCrc64: new Uint8Array(8) }),
    );
    expect(await crc64).toMatchObject({ statusCode: 400, code: 'UnsupportedHeader' });
  });
});

test('unknown addresses, versions and parameters are refused', async () => {
  const { body } = await get(`${group()}/providers/Microsoft.Compute/images?${API_VERSION}`);
  expect(body).toMatchObject({ error: { code: 'NoRegisteredProviderFound' } });
  expect((await get(group())).body).toMatchObject({ error: { code: 'MissingApiVersionParameter' } });
  expect((await get(`${group()}?${API_VERSION}&more=1`)).body).toMatchObject({
    error: { code: 'InvalidRequest' },
  });
  const other = `/subscriptions/0de00000-0000-4000-8000-000000000002/resourceGroups/${GROUP}?${API_VERSION}`;
  expect((await get(other)).body).toMatchObject({ error: { code: 'SubscriptionNotFound' } });
});

test('what was made is there after a restart, signatures too; a second sandbox is refused the folder', async () => {
  await expect(startAzureSandbox({ folder: fixture.folder })).rejects.toMatchObject({ code: 'conflict' });
  const pages = await fixture.openUpload('lasting', VHD_BYTES);
  await pages.uploadPages(Buffer.alloc(512, 3), 1024, 512);
  await fixture.restart();
  expect(await pages.downloadToBuffer(1024, 512)).toEqual(Buffer.alloc(512, 3));
  await pagesAt(await grantWrite(fixture.compute, 'lasting')).uploadPages(Buffer.alloc(512, 4), 0, 512);
});
