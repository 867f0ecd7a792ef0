/**
 * The guests behind the instances. Each instance has one life here: its operations run one after the other, and the
 * record in the store is written before the work (pending, stopping, shutting-down) and after it.
 *
 * Guests end with the sandbox. When it starts again, instances that ran are booted afresh from their volumes, as after
 * a power failure of their host; those that were on their way to `stopped` or `terminated` get there.
 */
import { rm } from 'node:fs/promises';
import type { Acceleration } from '../../boot/acceleration.ts';
import { readConsoleLog } from '../../boot/console-log.ts';
import { decodeConsole } from '../../boot/console-text.ts';
import type { Guest } from '../../boot/guest.ts';
import { type Health, judgeHealth } from '../health.ts';
import { createSlots, type Slots } from '../slots.ts';
import type { Ec2Cloud, Fleet } from './cloud.ts';
import { bootInstance } from './guest-boot.ts';
import { recordExit, recordFailedBoot, settleInstance } from './instance-records.ts';
import type { Ec2State, InstanceState, Volume } from './state.ts';
import { removeVolumeFile } from './volumes.ts';

export type FleetOptions = { cloud: Ec2Cloud; acceleration: Acceleration | null };

/** A guest that does not get past its firmware by then gives its place to the next. */
const BOOT_SLOT_MS = 90_000;
const BOOT_LOOK_MS = 500;

type Life = {
  guest: Guest | null;
  startedAt: number;
  /** Ends a boot that waits for its turn, so that a stop need not. */
  boot: AbortController;
  queue: Promise<void>;
};

export async function openFleet({ cloud, acceleration }: FleetOptions): Promise<Fleet> {
  const closing = new AbortController();
  const lives = new Map<string, Life>();
  const slots = createSlots(cloud.limits.concurrentBoots);
  const host: Host = { cloud, acceleration, slots, closing: closing.signal };

  const lifeOf = (id: string): Life => {
    const life = lives.get(id) ?? createLife();
    lives.set(id, life);
    return life;
  };
  const enqueue = (id: string, work: (life: Life) => Promise<void>): void => {
    const life = lifeOf(id);
    life.queue = life.queue
      .then(() => (closing.signal.aborted ? undefined : work(life)))
      .catch((error: unknown) => {
        if (!closing.signal.aborted) cloud.log('error', `Instance ${id}: ${String(error)}`, { instance: id });
      });
  };
  const watch = (id: string, guest: Guest): void => {
    void guest.exited.then((exit) => {
      enqueue(id, async (life) => {
        // Whoever ended the guest on purpose has settled its record already.
        if (life.guest !== guest) return;
        life.guest = null;
        if ((await recordExit({ cloud, id, exit })) === 'terminate') await endInstance({ host, id, life });
      });
    });
  };
  const boot = async (id: string, life: Life): Promise<void> => {
    await startGuest({ host, id, life });
    if (life.guest !== null) watch(id, life.guest);
  };

  const fleet: Fleet = {
    launch: (id) => enqueue(id, (life) => boot(id, life)),
    stop(id, { isForced }) {
      lifeOf(id).boot.abort();
      enqueue(id, async (life) => {
        await endGuest({ host, life, isForced });
        await settleInstance({ cloud, id, from: ['stopping'], to: 'stopped' });
      });
    },
    terminate(id) {
      lifeOf(id).boot.abort();
      enqueue(id, (life) => endInstance({ host, id, life }));
    },
    reboot: (id) =>
      enqueue(id, async (life) => {
        if (cloud.store.read().instances[id]?.state !== 'running') return;
        await endGuest({ host, life, isForced: false });
        await boot(id, life);
      }),
    async health(id) {
      const life = lives.get(id);
      return life?.guest == null ? 'initializing' : await feelPulse({ cloud, life, guest: life.guest });
    },
    console: (id) => lives.get(id)?.guest?.consoleBytes() ?? readConsoleLog(cloud.files.instance(id)),
    screenshot: async (id, signal) => (await lives.get(id)?.guest?.screenshot(signal)) ?? null,
    async [Symbol.asyncDispose]() {
      closing.abort(new Error('the sandbox is ending'));
      await Promise.all([...lives.values()].map(closeLife));
    },
  };
  await resume(cloud, fleet);
  return fleet;
}

type Host = { cloud: Ec2Cloud; acceleration: Acceleration | null; slots: Slots; closing: AbortSignal };

function createLife(): Life {
  return { guest: null, startedAt: 0, boot: new AbortController(), queue: Promise.resolve() };
}

/** The records stay as they are: the next sandbox takes up from them. */
async function closeLife(life: Life): Promise<void> {
  const { guest } = life;
  life.guest = null;
  await guest?.stop();
  await life.queue;
  // A boot that was under way when the sandbox ended.
  await (life.guest as Guest | null)?.stop();
}

async function startGuest({ host, id, life }: { host: Host; id: string; life: Life }): Promise<void> {
  const { cloud, slots, closing } = host;
  life.boot = new AbortController();
  const signal = AbortSignal.any([closing, life.boot.signal]);
  const wanted: readonly InstanceState[] = ['pending', 'running'];
  const instance = cloud.store.read().instances[id];
  if (instance === undefined || !wanted.includes(instance.state)) return;
  if (slots.isFull()) {
    const message = `Instance ${id} waits: ${cloud.limits.concurrentBoots} guests are booting`;
    cloud.log('info', message, { instance: id });
  }
  const place = await slots.take(signal).catch(() => null);
  if (place === null) return;
  try {
    life.guest = await bootInstance({ cloud, acceleration: host.acceleration, instance, signal });
    life.startedAt = performance.now();
  } catch (error) {
    place[Symbol.dispose]();
    if (!signal.aborted) await recordFailedBoot({ cloud, instance, error });
    return;
  }
  void givePlaceBack({ cloud, life, guest: life.guest, place });
  await settleInstance({ cloud, id, from: ['pending'], to: 'running' });
}

async function givePlaceBack({
  cloud,
  life,
  guest,
  place,
}: {
  cloud: Ec2Cloud;
  life: Life;
  guest: Guest;
  place: Disposable;
}): Promise<void> {
  using _place = place;
  const deadline = performance.now() + BOOT_SLOT_MS;
  while (guest.state() === 'running' && performance.now() < deadline) {
    const health = await feelPulse({ cloud, life, guest }).catch(() => 'impaired');
    if (health !== 'initializing') return;
    await Promise.race([guest.exited, sleep(BOOT_LOOK_MS)]);
  }
}

async function feelPulse({
  cloud: { limits },
  life,
  guest,
}: {
  cloud: Ec2Cloud;
  life: Life;
  guest: Guest;
}): Promise<Health> {
  const console = decodeConsole(await guest.consoleBytes());
  const aliveMs = performance.now() - life.startedAt;
  return judgeHealth({
    aliveMs,
    console,
    healthyAfterMs: limits.healthyAfterMs,
    silentAfterMs: limits.silentAfterMs,
  });
}

/** The power button first, then the plug. */
async function endGuest({
  host,
  life,
  isForced,
}: {
  host: Host;
  life: Life;
  isForced: boolean;
}): Promise<void> {
  const { guest } = life;
  life.guest = null;
  if (guest === null) return;
  if (!isForced && guest.state() === 'running') {
    await guest.powerButton(host.closing).catch(() => undefined);
    await Promise.race([guest.exited, sleep(host.cloud.limits.shutdownMs), untilAborted(host.closing)]);
  }
  await guest.stop();
}

/** Terminated is said last: who reads it finds nothing left. A crash on the way is taken up by the next sandbox. */
async function endInstance({ host, id, life }: { host: Host; id: string; life: Life }): Promise<void> {
  const { cloud } = host;
  await endGuest({ host, life, isForced: true });
  const gone = await cloud.store.update((state) => detachVolumes(state, id));
  await Promise.all(gone.map((volume) => removeVolumeFile(cloud, volume)));
  await rm(cloud.files.instance(id), { recursive: true, force: true });
  await settleInstance({ cloud, id, from: ['shutting-down'], to: 'terminated' });
}

/** Those that go with their instance are taken out of the state, and returned. */
function detachVolumes(state: Ec2State, id: string): Volume[] {
  const instance = state.instances[id];
  if (instance === undefined) return [];
  const volumes = instance.volumeIds.flatMap((volumeId) => state.volumes[volumeId] ?? []);
  const doomed = volumes.filter(({ attachment }) => attachment?.deleteOnTermination === true);
  for (const volume of volumes) volume.attachment = null;
  for (const volume of doomed) delete state.volumes[volume.id];
  instance.volumeIds = [];
  return doomed;
}

async function resume(cloud: Ec2Cloud, fleet: Fleet): Promise<void> {
  await cloud.store.update((state) => {
    for (const instance of Object.values(state.instances)) {
      if (instance.state === 'running') instance.state = 'pending';
      if (instance.state === 'stopping') instance.state = 'stopped';
    }
  });
  for (const { id, state } of Object.values(cloud.store.read().instances)) {
    if (state === 'pending') fleet.launch(id);
    if (state === 'shutting-down') fleet.terminate(id);
  }
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => void setTimeout(resolve, ms).unref());
}

function untilAborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}
