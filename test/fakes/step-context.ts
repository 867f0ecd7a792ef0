/**
 * In-memory stand-ins for what a step may use, honouring the contracts in src/domain/ports.ts. The durable half lives
 * in a `DurableState` that outlives contexts: a test that kills an attempt opens a second context over the same state.
 */
import { createHash } from 'node:crypto';
import { LandfallError } from '../../src/domain/errors.ts';
import type { JsonObject, JsonValue } from '../../src/domain/json.ts';
import type { LandingSeen } from '../../src/domain/landing.ts';
import type {
  Checkpoints,
  Clock,
  Ledger,
  LedgerEntry,
  LedgerState,
  LogLevel,
  Progress,
  Slots,
  StepContext,
} from '../../src/domain/ports.ts';

/** What Redis would hold. Share one between contexts of one test; machines and runs are kept apart in it. */
export type DurableState = {
  /** Oldest first. */
  ledger: LedgerEntry[];
  /** By `run/machine/key`; what `setBytes` wrote as bytes. */
  checkpoints: Map<string, string>;
  checkpointBytes: Map<string, Buffer>;
  /** Holders, as `run/machine/holder`, by slot name. */
  slots: Map<string, Set<string>>;
};

export type LogLine = { level: LogLevel; message: string; fields: JsonObject | undefined };

/** A side effect on the ledger about to be written; throwing from `onLedger` is a death just before it. */
export type LedgerWrite = { step: 'intend' | 'settle'; thing: string; state: LedgerState };

export type StepContextOptions = {
  run?: string;
  machine?: string;
  /** Default: a state of its own. */
  state?: DurableState;
  signal?: AbortSignal;
  clock?: Clock;
  /** Called before each write to the ledger. */
  onLedger?: (write: LedgerWrite) => void;
};

/** A StepContext whose traces a test can read and whose lease it can take away. */
export type FakeStepContext = StepContext & {
  readonly state: DurableState;
  readonly logs: readonly LogLine[];
  readonly reports: readonly Progress[];
  readonly shown: readonly LandingSeen[];
  /** From now on every write to the ledger throws `lease-lost`, as after a second delivery. */
  loseLease(): void;
};

export function createDurableState(): DurableState {
  return { ledger: [], checkpoints: new Map(), checkpointBytes: new Map(), slots: new Map() };
}

export function createStepContext(options: StepContextOptions = {}): FakeStepContext {
  const { run = 'run-1', machine = 'web01', state = createDurableState(), onLedger = () => {} } = options;
  const clock = options.clock ?? systemClock;
  const logs: LogLine[] = [];
  const reports: Progress[] = [];
  const shown: LandingSeen[] = [];
  let holdsLease = true;
  const beforeWrite = (write: LedgerWrite): void => {
    if (!holdsLease) throw leaseLost(write);
    onLedger(write);
  };
  return {
    run,
    machine,
    tags: { 'landfall:run': run, 'landfall:machine': machine },
    signal: options.signal ?? new AbortController().signal,
    ledger: createLedger({ run, machine, state, clock, beforeWrite }),
    checkpoints: createCheckpoints({ run, machine, state }),
    slots: createSlots({ run, machine, state }),
    bandwidth: { take: async (_bytes, signal) => signal.throwIfAborted() },
    clock,
    log: (level, message, fields) => void logs.push({ level, message, fields }),
    report: (progress) => void reports.push(progress),
    show: (seen) => void shown.push(seen),
    state,
    logs,
    reports,
    shown,
    loseLease: () => {
      holdsLease = false;
    },
  };
}

/** A clock that stands still until the test moves it. */
export function createManualClock(startMs = 1_700_000_000_000): Clock & { advance(ms: number): void } {
  let elapsedMs = 0;
  return {
    now: async () => startMs + elapsedMs,
    monotonicMs: () => elapsedMs,
    advance: (ms) => {
      elapsedMs += ms;
    },
  };
}

const systemClock: Clock = { now: async () => Date.now(), monotonicMs: () => performance.now() };

type Owner = { run: string; machine: string; state: DurableState };

function createLedger({
  run,
  machine,
  state,
  clock,
  beforeWrite,
}: Owner & { clock: Clock; beforeWrite: (write: LedgerWrite) => void }): Ledger {
  const own = (): LedgerEntry[] =>
    state.ledger.filter((entry) => entry.run === run && entry.machine === machine);
  return {
    intend: async (thing) => {
      const last = own().findLast((entry) => entry.thing === thing);
      if (last !== undefined && isOpen(last)) {
        beforeWrite({ step: 'intend', thing, state: last.state });
        return structuredClone(last);
      }
      beforeWrite({ step: 'intend', thing, state: 'intended' });
      const generation = (last?.generation ?? 0) + 1;
      const token = tokenOf([run, machine, thing, generation]);
      const at = await clock.now();
      const entry: LedgerEntry = {
        run,
        machine,
        thing,
        generation,
        token,
        state: 'intended',
        ref: null,
        at,
      };
      state.ledger.push(entry);
      return structuredClone(entry);
    },
    settle: async (entry, outcome, ref) => {
      beforeWrite({ step: 'settle', thing: entry.thing, state: outcome });
      const index = state.ledger.findIndex((candidate) => candidate.token === entry.token);
      if (index === -1) throw new TypeError(`settles ${entry.thing}, which was never intended`);
      // Over the entry that was handed in, as in Redis: whoever settles a stale copy loses what came later.
      const merged = ref === undefined ? entry.ref : { ...entry.ref, ...structuredClone(ref) };
      const settled: LedgerEntry = { ...entry, state: outcome, ref: merged, at: await clock.now() };
      state.ledger[index] = settled;
      return structuredClone(settled);
    },
    entries: async () => structuredClone(own()),
  };
}

/** Values pass through JSON, as they do on their way to Redis: what is no plain data shows at once. Bytes are copied. */
function createCheckpoints({ run, machine, state }: Owner): Checkpoints {
  const { checkpoints, checkpointBytes } = state;
  const full = (key: string): string => `${run}/${machine}/${key}`;
  const forget = (key: string): void => {
    checkpoints.delete(full(key));
    checkpointBytes.delete(full(key));
  };
  return {
    get: async (key) => {
      const text = checkpoints.get(full(key));
      return text === undefined ? null : (JSON.parse(text) as JsonValue);
    },
    set: async (key, value) => {
      forget(key);
      checkpoints.set(full(key), JSON.stringify(value));
    },
    getBytes: async (keys) =>
      keys.map((key) => {
        const bytes = checkpointBytes.get(full(key));
        return bytes === undefined ? null : Buffer.from(bytes);
      }),
    setBytes: async (key, bytes) => {
      forget(key);
      checkpointBytes.set(full(key), Buffer.from(bytes));
    },
    delete: async (...keys) => keys.forEach(forget),
  };
}

function createSlots({ run, machine, state }: Owner): Slots {
  const full = (holder: string): string => `${run}/${machine}/${holder}`;
  const holdersOf = (name: string): Set<string> => {
    const holders = state.slots.get(name) ?? new Set();
    state.slots.set(name, holders);
    return holders;
  };
  return {
    claim: async ({ name, holder, limit }) => {
      const holders = holdersOf(name);
      if (holders.has(full(holder))) return true;
      if (holders.size >= limit) return false;
      holders.add(full(holder));
      return true;
    },
    release: async ({ name, holder }) => void holdersOf(name).delete(full(holder)),
  };
}

function isOpen(entry: LedgerEntry): boolean {
  return entry.state === 'intended' || entry.state === 'done';
}

function tokenOf(parts: readonly (string | number)[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 32);
}

function leaseLost({ step, thing }: LedgerWrite): LandfallError {
  return new LandfallError({
    code: 'lease-lost',
    message: `Could not ${step} ${thing}: another attempt at this step holds the lease now.`,
    retryable: true,
  });
}
