/**
 * A weekend without hands: five guests that run at a real libvirt, an order, an approval, a window that opens soon, and one
 * machine that does not boot in the cloud.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { StoredEvent } from '../../src/domain/events.ts';
import { POOLS, type StepStage } from '../../src/domain/job.ts';
import type { MachineRecord } from '../../src/domain/machine-record.ts';
import { isEnded } from '../../src/domain/run-record.ts';
import type { RunningTool } from '../../src/processes/child.ts';
import type { State } from '../../src/state/state.ts';
import { startWeekendEstate, untilLoggedIn, WEEKEND_GUESTS } from '../../tools/libvirt/estate.ts';
import { type OwnLibvirt, startLibvirt } from '../../tools/libvirt/libvirtd.ts';
import { openSoon } from '../../tools/libvirt/weekend-wave.ts';
import { CACHE, type Ground, openGround } from './ground.ts';
import { machineOf } from './run-records.ts';

const OPENS_IN_SECONDS = 20;
const TAKEN_BACK = 'old-batch';
const LANDING = WEEKEND_GUESTS.map(({ name }) => name).filter((name) => name !== TAKEN_BACK);

let ground: Ground;
let libvirt: OwnLibvirt;
let state: State;
let wave: string;

beforeAll(async () => {
  libvirt = await startLibvirt();
  ground = await openGround({ environment: { DEMO_LIBVIRT_URI: libvirt.uri } });
  const guests = await startWeekendEstate(libvirt, { cacheFolder: CACHE });
  await untilLoggedIn(libvirt, guests);
  await ground.up('--no-pools');
  state = await ground.state();
  wave = join(ground.folder, 'weekend.yaml');
}, 240_000);
afterAll(async () => {
  await ground?.[Symbol.asyncDispose]();
  await libvirt?.[Symbol.asyncDispose]();
}, 60_000);

/** Every worker that lives. */
let workers: RunningTool[] = [];

/** A worker with a pool for every stage. */
async function addWorker(): Promise<void> {
  workers.push(await ground.worker(POOLS.join(',')));
}

/** All at once, without a word; new ones take their place. */
async function killAll(): Promise<void> {
  const victims = workers;
  workers = [];
  for (const victim of victims) process.kill(victim.pid, 'SIGKILL');
  for (const victim of victims) await victim.exited;
  for (const _victim of victims) await addWorker();
}

/** Kills every worker once for each of these stages, as soon as any machine was seen to begin it. */
async function killAtEach(run: string, stages: readonly StepStage[]): Promise<void> {
  const left = new Set<string>(stages);
  const begunStage = async (): Promise<string | undefined> => {
    const begun = (await eventsOf(run)).flatMap((event) =>
      event.type === 'step' && event.state === 'started' ? [event.step.replace(/[/@].*/, '')] : [],
    );
    return begun.find((stage) => left.has(stage));
  };
  while (left.size > 0) {
    await expect.poll(begunStage, { timeout: 180_000, interval: 50 }).toBeDefined();
    left.delete((await begunStage()) ?? '');
    await killAll();
  }
}

async function command(...args: string[]): Promise<string> {
  const told = await ground.landfall(args);
  expect(told, `${args.join(' ')}: ${told.stderr}`).toMatchObject({ status: 0 });
  return told.stdout;
}

/** Starts the run and approves it; gives its id. */
async function begin(...options: string[]): Promise<string> {
  await writeFile(wave, await openSoon({ opensInSeconds: OPENS_IN_SECONDS }));
  const { run } = JSON.parse(await command('run', wave, ...options, '--detach', '--json')) as { run: string };
  await command('approve', run, '--reason', 'change 4711');
  return run;
}

async function untilEnded(run: string): Promise<void> {
  const isOver = async () => isEnded((await state.runs.get(run))?.status ?? 'running');
  await expect.poll(isOver, { timeout: 300_000, interval: 250 }).toBe(true);
}

async function eventsOf(run: string): Promise<StoredEvent[]> {
  return await Array.fromAsync(state.events.readAll(run, '0'));
}

/** When a machine came to have a status, by the events. */
function reached(events: readonly StoredEvent[], machine: string, status: MachineRecord['status']): number {
  const found = events.find(
    (event) => event.type === 'machine' && event.machine === machine && event.status === status,
  );
  if (found === undefined) throw new Error(`${machine} was never ${status}`);
  return found.at;
}

async function expectStory(run: string): Promise<void> {
  expect((await state.runs.get(run))?.status).toBe('partial');
  for (const machine of LANDING)
    expect(await machineOf(state, { run, machine })).toMatchObject({ status: 'landed' });
  expect(await machineOf(state, { run, machine: TAKEN_BACK })).toMatchObject({
    status: 'rolled-back',
    error: { code: 'boot-failed' },
    landing: null,
  });
  const events = await eventsOf(run);
  const opensAt = (await state.runs.get(run))?.window?.opensAt ?? 0;
  const first = events.find((event) => event.type === 'step' && event.state === 'started');
  expect((first?.at ?? 0) - opensAt).toBeGreaterThanOrEqual(0);
  for (const [before, after] of [
    ['crm-db', 'crm-app'],
    ['crm-app', 'crm-web'],
    ['crm-app', 'wiki'],
  ] as const)
    expect(reached(events, after, 'moving')).toBeGreaterThanOrEqual(reached(events, before, 'landed'));
  // At their source.
  for (const machine of LANDING) expect((await libvirt.virsh('domstate', machine)).trim()).toBe('shut off');
  expect((await libvirt.virsh('domstate', TAKEN_BACK)).trim()).toBe('running');
  expect(await libvirt.virsh('dominfo', TAKEN_BACK)).toMatch(/Autostart: +enable/);
  // At the target.
  const told = await command('cleanup', run, '--dry-run');
  expect(told).toContain('Nothing is left');
}

describe('a weekend without hands', () => {
  let run: string;

  it('waits for its window, lands four machines in order and takes the fifth back', async () => {
    await addWorker();
    run = await begin();
    expect(await command('status', run)).toMatch(/scheduled/);
    await untilEnded(run);
    await expectStory(run);
    const events = await eventsOf(run);
    const opensAt = (await state.runs.get(run))?.window?.opensAt ?? 0;
    expect(reached(events, 'crm-db', 'moving') - opensAt).toBeLessThan(1_000);
    expect(await command('audit', run)).toMatch(/approve[\s\S]*change 4711/);
  }, 400_000);

  it('can go back as a whole, and then runs at its source', async () => {
    await command('rollback', run, '--discard-landing-data', '--reason', 'for the next test');
    await expect
      .poll(async () => (await state.machines.counts(run))['rolled-back'], {
        timeout: 120_000,
        interval: 250,
      })
      .toBe(WEEKEND_GUESTS.length);
    for (const { name } of WEEKEND_GUESTS)
      expect((await libvirt.virsh('domstate', name)).trim(), name).toBe('running');
  }, 180_000);

  it('comes to the same where every worker is killed as each of its steps begins', async () => {
    await untilLoggedIn(
      libvirt,
      WEEKEND_GUESTS.map(({ name }) => ({ name, uuid: '' })),
    );
    const again = await begin('--again');
    await addWorker();
    await killAtEach(again, ['shutdown', 'upload', 'import', 'validate', 'admit', 'rollback']);
    await untilEnded(again);
    await expectStory(again);
  }, 500_000);
});
