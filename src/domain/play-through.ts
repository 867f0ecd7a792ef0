/**
 * Plays what is left of a run through: machines take slots in the order of the wave, wait out what comes before their
 * bytes, share one line evenly with the others that upload, wait out what comes after, land and free others. Pure; some
 * ten thousand machines take a few milliseconds for each hundred slots.
 */
import type { MachineLeft } from './remaining-work.ts';

export type PlayThrough = {
  /** In the order of the wave. */
  machines: readonly MachineLeft[];
  atOnce: number;
  now: number;
  /** Those that were not begun begin no earlier (ms since the epoch). */
  startsAt: number;
  /** Bytes per second of all together at a time. */
  rateAt(at: number): number;
};

/** A rate by the hour of the day is looked at so often. */
const RATE_STEP_MS = 5 * 60_000;
/** Nothing is planned further ahead: a rate of next to nothing would play through for ever. */
const MOST_AHEAD_MS = 366 * 24 * 3_600_000;

type Waiting = { machine: MachineLeft; until: number; next: 'upload' | 'land' };
/** `upTo`: how much the line must have given to each uploader by then. */
type Uploading = { machine: MachineLeft; upTo: number };

/** When the last of them lands (ms since the epoch). */
export function playThrough({ machines, atOnce, now, startsAt, rateAt }: PlayThrough): number {
  const waiting: Waiting[] = [];
  const uploading: Uploading[] = [];
  const order = createOrder(machines);
  let [at, given, moving] = [now, 0, 0];
  let [rate, rateUntil] = [rateAt(now), nextRateAt(now)];
  const begin = (machine: MachineLeft): void => {
    moving += 1;
    waiting.push({ machine, until: at + machine.leadMs, next: 'upload' });
  };
  const goOn = ({ machine, next }: Waiting): void => {
    if (next === 'upload' && machine.bytes > 0) uploading.push({ machine, upTo: given + machine.bytes });
    else if (next === 'upload') waiting.push({ machine, until: at + machine.tailMs, next: 'land' });
    else {
      moving -= 1;
      order.land(machine);
    }
  };

  for (const machine of machines) if (machine.isMoving) begin(machine);
  for (;;) {
    if (at >= startsAt) for (let left = atOnce - moving; left > 0; left -= 1) order.take(begin);
    const due = nextOf(waiting, ({ until }) => until);
    const uploaded = nextOf(uploading, ({ upTo }) => upTo);
    if (due === null && uploaded === null) {
      if (at >= startsAt || !order.hasReady()) return at;
      at = startsAt;
      continue;
    }
    if (at - now > MOST_AHEAD_MS) return at;
    if (at >= rateUntil) [rate, rateUntil] = [rateAt(at), nextRateAt(at)];
    const each = rate / Math.max(1, uploading.length) / 1000;
    const doneAt =
      uploaded === null ? Number.POSITIVE_INFINITY : at + Math.max(0, uploaded.upTo - given) / each;
    const changesAt = uploaded === null ? Number.POSITIVE_INFINITY : rateUntil;
    const opensAt = at < startsAt && order.hasReady() ? startsAt : Number.POSITIVE_INFINITY;
    const then = Math.min(doneAt, changesAt, opensAt, due?.until ?? Number.POSITIVE_INFINITY);
    given += (then - at) * each;
    at = then;
    if (due !== null && due.until <= at) {
      remove(waiting, due);
      goOn(due);
    } else if (uploaded !== null && doneAt <= at) {
      remove(uploading, uploaded);
      waiting.push({ machine: uploaded.machine, until: at + uploaded.machine.tailMs, next: 'land' });
    }
  }
}

/** Who may begin next: in the order of the wave, of those that wait for nothing any more. */
function createOrder(machines: readonly MachineLeft[]) {
  const position = new Map(machines.map((machine, index) => [machine, index]));
  const unlandedOf = new Map<string, number>();
  for (const { group } of machines)
    if (group !== null) unlandedOf.set(group, (unlandedOf.get(group) ?? 0) + 1);
  const waitsFor = new Map(machines.map((machine) => [machine, new Set(machine.after)]));
  const dependents = new Map<string, MachineLeft[]>();
  for (const machine of machines)
    for (const name of machine.after) {
      const known = dependents.get(name);
      if (known === undefined) dependents.set(name, [machine]);
      else known.push(machine);
    }
  let ready = machines.filter(({ isMoving, after }) => !isMoving && after.length === 0);
  let taken = 0;

  const free = (landed: string): void => {
    const freed = (dependents.get(landed) ?? []).filter((machine) => {
      const left = waitsFor.get(machine);
      return left?.delete(landed) === true && left.size === 0 && !machine.isMoving;
    });
    if (freed.length === 0) return;
    const place = (machine: MachineLeft): number => position.get(machine) ?? 0;
    ready = [...ready.slice(taken), ...freed].sort((a, b) => place(a) - place(b));
    taken = 0;
  };
  return {
    hasReady: () => taken < ready.length,
    take(begin: (machine: MachineLeft) => void): void {
      const machine = ready[taken];
      if (machine === undefined) return;
      taken += 1;
      begin(machine);
    },
    land({ name, group }: MachineLeft): void {
      free(name);
      if (group === null) return;
      const unlanded = (unlandedOf.get(group) ?? 0) - 1;
      unlandedOf.set(group, unlanded);
      if (unlanded === 0) free(group);
    },
  };
}

function nextRateAt(at: number): number {
  return (Math.floor(at / RATE_STEP_MS) + 1) * RATE_STEP_MS;
}

function nextOf<T>(items: readonly T[], when: (item: T) => number): T | null {
  let first: T | null = null;
  for (const item of items) if (first === null || when(item) < when(first)) first = item;
  return first;
}

function remove<T>(items: T[], item: T): void {
  const last = items.pop();
  const index = last === undefined || last === item ? -1 : items.indexOf(item);
  if (index !== -1 && last !== undefined) items[index] = last;
}
