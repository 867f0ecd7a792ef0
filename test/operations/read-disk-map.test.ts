/** Maps of disks as they are read from what convert and upload keep. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { MachineRecord } from '../../src/domain/machine-record.ts';
import { readDiskMap } from '../../src/operations/read-disk-map.ts';
import { openStepContext } from '../../src/queue/step-context.ts';
import { createHolesMap } from '../../src/stages/disk-map.ts';
import { acquireLease } from '../../src/state/lease.ts';
import type { RedisServer } from '../../src/state/redis-server.ts';
import { openState, type State } from '../../src/state/state.ts';
import { makeRecords, makeRun, makeWave } from '../fakes/records.ts';
import { startTestRedis } from '../fakes/redis.ts';

const MIB = 1024 ** 2;
let server: RedisServer;
let state: State;
let record: MachineRecord;

beforeAll(async () => {
  server = await startTestRedis();
  state = openState(server.url);
});
beforeEach(async () => {
  await state.redis.flushall();
  [record] = makeRecords(makeRun('r1', makeWave('w', ['a']))) as [MachineRecord];
});
afterAll(async () => {
  await state[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

/** As convert keeps it, of a disk whose first half holds data. */
async function keepHoles(bytes: number): Promise<void> {
  const of = { run: 'r1', machine: 'a', step: 'convert' };
  const reply = await acquireLease(state.redis, of);
  if (reply.kind === 'taken') throw new Error('taken');
  await using lease = reply.lease;
  const { signal } = new AbortController();
  const context = openStepContext({ state, ...of, lease, signal, report: () => {} });
  const map = createHolesMap({ diskBytes: bytes });
  map.takeData({ from: 0, end: bytes / 2 / (MIB / 2) });
  await map.keep(context.checkpoints, '0');
}

test('nothing is known before convert, and then the holes', async () => {
  expect(await readDiskMap(state, record, { disk: '0' })).toEqual({
    disk: '0',
    bytes: 64 * MIB,
    cellBytes: MIB / 2,
    cells: null,
  });
  await keepHoles(64 * MIB);
  const { cells } = await readDiskMap(state, record, { disk: '0' });
  expect(cells?.map(({ zero }) => zero)).toEqual([...Array(64).fill(0), ...Array(64).fill(1)]);
});

test('cells are put together where fewer are wanted', async () => {
  await keepHoles(64 * MIB);
  const map = await readDiskMap(state, record, { disk: '0', atMost: 3 });
  // 128 cells, 43 at a time: the second has 21 of data.
  expect(map.cellBytes).toBe((43 * MIB) / 2);
  expect(map.cells?.map(({ zero }) => Number(zero.toFixed(3)))).toEqual([0, Number((22 / 43).toFixed(3)), 1]);
});

test('of an image of another length than its disk, the image counts', async () => {
  await keepHoles(96 * MIB);
  expect((await readDiskMap(state, record, { disk: '0' })).cells).toBeNull();
  const image = { site: null, bytes: 96 * MIB, layout: { kind: 'blank' as const } };
  const read = await readDiskMap(state, { ...record, images: { '0': image } }, { disk: '0' });
  expect([read.bytes, read.cells?.length]).toEqual([96 * MIB, 192]);
});
