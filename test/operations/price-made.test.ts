/** What leftovers cost by the month, where that can be said. */
import { describe, expect, test } from 'vitest';
import { awsTarget } from '../../adapters/targets/aws/aws.ts';
import { azureTarget } from '../../adapters/targets/azure/azure.ts';
import type { JsonObject } from '../../src/domain/json.ts';
import type { MachineRecord } from '../../src/domain/machine-record.ts';
import type { LedgerEntry, LedgerState, Target } from '../../src/domain/ports.ts';
import { priceMade } from '../../src/operations/price-made.ts';
import { makeRecords, makeRun, makeWave } from '../fakes/records.ts';

const GIB = 1024 ** 3;
const environment = { waveFolder: '/', scratchFolder: '/', cacheFolder: '/' } as Parameters<
  typeof awsTarget.create
>[1];

const AWS = { bucket: 'acme' };
const AZURE = { subscription: '0b1f6471-1bf0-4dda-aec3-cb9272f09590', resourceGroup: 'rg' };

/** Two disks of 40 GiB: of the first 10 GiB hold data, and 4 GiB of it went up. */
function record(to: JsonObject = {}): MachineRecord {
  const [made] = makeRecords(makeRun('r1', makeWave('w', ['a'])), 2);
  if (made === undefined) throw new Error('no record');
  const form = { kind: 'parts' as const, container: 'raw' as const };
  const disks = made.machine.disks.map((disk) => ({ ...disk, bytes: 40 * GIB }));
  return {
    ...made,
    machine: { ...made.machine, disks },
    plan: { ...made.plan, to },
    prepared: { '0': { form, dataBytes: 10 * GIB } },
    artifacts: { '0': { disk: '0', kind: 'x', container: 'raw', bytes: 4 * GIB, ref: {}, digests: [] } },
  };
}

function price(
  target: Target,
  thing: string,
  over: { state?: LedgerState; ref?: JsonObject; to?: JsonObject } = {},
): number | null {
  const { state = 'done', ref = {}, to } = over;
  const entry: LedgerEntry = { run: 'r1', machine: 'a', thing, generation: 1, token: '', state, ref, at: 1 };
  return priceMade(target, record(to), entry);
}

describe('at AWS', () => {
  const at = (region: string): Target => awsTarget.create({ ...AWS, region }, environment);
  const target = at('us-east-1');

  test.each([
    ['upload:0', {}, 4 * 0.023],
    ['snapshot:0', {}, 4 * 0.05],
    ['import-task:0', { snapshotId: 'snap-1' }, 10 * 0.05],
    ['import-task:0', {}, 0],
    ['image', { imageId: 'ami-1' }, 0],
    ['quarantine', { groupId: 'sg-1' }, 0],
    ['upload:1', {}, null],
    ['import-task', { imageId: 'ami-1', snapshotIds: ['snap-1', 'snap-2'] }, null],
    ['instance', { instanceId: 'i-1' }, null],
  ] as const)('%s %j costs %s', (thing, ref, expected) => {
    const told = price(target, thing, { ref: { ...ref } as JsonObject });
    if (expected === null) expect(told).toBeNull();
    else expect(told).toBeCloseTo(expected, 6);
  });

  test('nothing is said of regions that are priced in another way, and nothing is left of what was discarded', () => {
    expect(price(at('eu-central-1'), 'upload:0')).toBeNull();
    expect(price(at('eu-central-1'), 'upload:0', { state: 'discarded' })).toBe(0);
  });
});

describe('at Azure', () => {
  const at = (location: string): Target => azureTarget.create({ ...AZURE, location }, environment);
  const target = at('eastus');

  test.each([
    ['disk:0', {}, 64 * 0.075],
    ['disk:0', { diskType: 'Premium_LRS' }, 10.21],
    ['snapshot:0', {}, 10 * 0.05],
    ['network-interface', {}, 0],
    ['quarantine', {}, 0],
    ['disk:0', { diskType: 'Premium_ZRS' }, null],
    ['snapshot:1', {}, null],
    ['virtual-machine', {}, null],
  ] as const)('%s to %j costs %s', (thing, to, expected) => {
    const told = price(target, thing, { to: { ...to } as JsonObject });
    if (expected === null) expect(told).toBeNull();
    else expect(told).toBeCloseTo(expected, 6);
  });

  test('nothing is said of other locations', () => {
    expect(price(at('westeurope'), 'disk:0')).toBeNull();
  });
});

test('of a target that tells no prices nothing is known', () => {
  expect(price({} as Target, 'upload:0')).toBeNull();
});
