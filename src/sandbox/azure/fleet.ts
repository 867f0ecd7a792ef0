/**
 * The guests behind the machines. What is done to one machine is done one after the other. Guests end with the sandbox;
 * when it starts again, those that ran are booted afresh from their disks, as after a power failure of their host.
 */
import { setTimeout as wait } from 'node:timers/promises';
import { type Acceleration, probeAcceleration } from '../../boot/acceleration.ts';
import { readConsoleLog } from '../../boot/console-log.ts';
import { decodeConsole } from '../../boot/console-text.ts';
import { bootGuest, type Guest } from '../../boot/guest.ts';
import { judgeHealth } from '../health.ts';
import { createSlots } from '../slots.ts';
import type { AzureCloud, Fleet } from './cloud.ts';
import { provideDisk } from './disk-files.ts';
import { refuse } from './refusals.ts';
import { findById, keyOf } from './resource-id.ts';
import type { PowerState, VirtualMachine } from './state.ts';
import { findVmSize } from './vm-sizes.ts';

/** A guest that says nothing by then gives its place to the next. */
const BOOT_SLOT_MS = 90_000;
const BOOT_LOOK_MS = 500;
const GIB = 1024 ** 3;
const MIB = 1024 ** 2;

type Life = { guest: Guest | null; queue: Promise<unknown> };

export function createFleet(cloud: AzureCloud, acceleration: Acceleration | null): Fleet {
  const closing = new AbortController();
  const lives = new Map<string, Life>();
  const slots = createSlots(cloud.limits.concurrentBoots);
  const lifeOf = (id: string): Life => {
    const life = lives.get(keyOf(id)) ?? { guest: null, queue: Promise.resolve() };
    lives.set(keyOf(id), life);
    return life;
  };
  const inTurn = <T>(id: string, work: (life: Life) => Promise<T>): Promise<T> => {
    const life = lifeOf(id);
    const next = life.queue.then(() => {
      closing.signal.throwIfAborted();
      return work(life);
    });
    life.queue = next.catch(() => undefined);
    return next;
  };
  const watch = (id: string, guest: Guest): void => {
    void guest.exited.then(async ({ detail }) => {
      const life = lifeOf(id);
      // Whoever ended the guest on purpose settles its record.
      if (life.guest !== guest) return;
      life.guest = null;
      cloud.log('info', `The guest of ${id} ended: ${detail}`);
      await recordPower(cloud, id, 'stopped');
    });
  };
  return {
    start: (id) =>
      inTurn(id, async (life) => {
        if (life.guest?.state() === 'running') return;
        const machine = findById(cloud.store.read().machines, id);
        if (machine === undefined) return;
        const place = await slots.take(closing.signal);
        try {
          life.guest = await bootMachine({ cloud, machine, acceleration, signal: closing.signal });
        } catch (error) {
          place[Symbol.dispose]();
          throw error;
        }
        void givePlaceBack(life.guest, place);
        watch(id, life.guest);
        await recordPower(cloud, id, 'running');
      }),
    end: (id, { isForced }) =>
      inTurn(id, async (life) => {
        const { guest } = life;
        life.guest = null;
        if (guest === null) return;
        if (!isForced && guest.state() === 'running') {
          await guest.powerButton(closing.signal).catch(() => undefined);
          await Promise.race([
            guest.exited,
            wait(cloud.limits.shutdownMs, undefined, { ref: false, signal: closing.signal }).catch(
              () => undefined,
            ),
          ]);
        }
        await guest.stop();
      }),
    async console(id) {
      const guest = lives.get(keyOf(id))?.guest;
      const machine = findById(cloud.store.read().machines, id);
      if (guest != null) return Buffer.from(await guest.consoleBytes());
      return machine === undefined
        ? Buffer.alloc(0)
        : await readConsoleLog(cloud.files.machine(machine.vmId));
    },
    screenshot: async (id, signal) =>
      (await lives
        .get(keyOf(id))
        ?.guest?.screenshot(signal)
        .catch(() => null)) ?? null,
    async [Symbol.asyncDispose]() {
      closing.abort(new Error('the sandbox is ending'));
      await Promise.all([...lives.values()].map(closeLife));
    },
  };
}

export async function recordPower(cloud: AzureCloud, id: string, power: PowerState): Promise<void> {
  await cloud.store.update((state) => {
    const machine = findById(state.machines, id);
    if (machine !== undefined) machine.power = power;
  });
}

/** The records stay as they are: the next sandbox takes up from them. */
async function closeLife(life: Life): Promise<void> {
  await life.queue;
  const { guest } = life;
  life.guest = null;
  await guest?.stop();
}

async function bootMachine({
  cloud,
  machine,
  acceleration,
  signal,
}: {
  cloud: AzureCloud;
  machine: VirtualMachine;
  acceleration: Acceleration | null;
  signal: AbortSignal;
}): Promise<Guest> {
  const { disks } = cloud.store.read();
  const held = machine.disks.map(({ diskId }) => {
    const disk = findById(disks, diskId);
    if (disk === undefined) throw refuse(404, 'NotFound', `Disk ${diskId} is not found.`);
    return disk;
  });
  const paths: string[] = [];
  for (const disk of held) paths.push(await provideDisk(cloud, disk, signal));
  await cloud.store.update((state) => {
    for (const { id } of held) Object.assign(findById(state.disks, id) ?? {}, { hasBooted: true });
  });
  return await bootGuest({
    name: machine.name,
    firmware: machine.generation === 'V2' ? 'uefi' : 'bios',
    disks: held.map(({ uniqueId }, index) => ({
      path: paths[index] ?? '',
      format: 'qcow2',
      serial: uniqueId,
    })),
    ...sizeGuest(cloud, machine),
    acceleration: acceleration ?? (await probeAcceleration({ signal })),
    folder: cloud.files.machine(machine.vmId),
    onReboot: 'restart',
    signal,
  });
}

/** The size says what the guest should have; the host caps it, and the log says so. */
function sizeGuest(
  { limits, log }: AzureCloud,
  { name, size }: VirtualMachine,
): { cpus: number; memoryBytes: number } {
  const { vcpus = 1, memoryGib = 1 } = findVmSize(size) ?? {};
  const cpus = Math.min(vcpus, limits.guestCpus);
  const memoryBytes = Math.min(memoryGib * GIB, limits.guestMemoryMib * MIB);
  if (cpus < vcpus || memoryBytes < memoryGib * GIB) {
    log(
      'info',
      `VM ${name} (${size}) gets ${cpus} of ${vcpus} CPUs and ${memoryBytes / MIB} of ${memoryGib * 1024} MiB on this host`,
    );
  }
  return { cpus, memoryBytes };
}

async function givePlaceBack(guest: Guest, place: Disposable): Promise<void> {
  using _place = place;
  const startedAt = performance.now();
  const aliveMs = (): number => performance.now() - startedAt;
  while (guest.state() === 'running' && aliveMs() < BOOT_SLOT_MS) {
    const console = decodeConsole(await guest.consoleBytes().catch(() => Buffer.alloc(0)));
    const pulse = { aliveMs: aliveMs(), console, healthyAfterMs: 0, silentAfterMs: BOOT_SLOT_MS };
    if (judgeHealth(pulse) !== 'initializing') return;
    await Promise.race([guest.exited, wait(BOOT_LOOK_MS, undefined, { ref: false })]);
  }
}
