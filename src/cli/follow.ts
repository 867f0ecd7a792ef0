/** Follows a run until it comes to rest or the operator detaches: redrawn lines, plain lines or NDJSON. */
import { setTimeout as sleep } from 'node:timers/promises';
import { EXIT_FAILED, EXIT_LANDED, EXIT_PARTIAL } from '../domain/errors.ts';
import type { StoredEvent } from '../domain/events.ts';
import { isUnderWay, type MachineRecord } from '../domain/machine-record.ts';
import { isEnded, type RunRecord } from '../domain/run-record.ts';
import { findRun } from '../operations/find-run.ts';
import { machineLine, type RunSnapshot } from '../operations/machine-line.ts';
import { describeUnserved, findUnserved } from '../operations/served-pools.ts';
import { whyNothingStarts } from '../operations/stands-still.ts';
import { liveWorkers } from '../state/heartbeats.ts';
import type { State } from '../state/state.ts';
import type { View } from '../view.ts';
import type { CommandContext } from './command-context.ts';
import { openLiveScreen } from './live-screen.ts';
import { describeEvent, describeLine } from './run-view.ts';
import type { Terminal } from './terminal.ts';

export type FollowOptions = { run: string; json: boolean };

/** 128 + SIGINT: the operator let go, the run goes on. */
export const EXIT_DETACHED = 130;

const POLL_MS = 250;
const PLAIN_PROGRESS_MS = 5_000;
const JSON_PROGRESS_MS = 1_000;
const WORKER_CHECK_MS = 10_000;
const REMINDER_MS = 600_000;

/** Gives the run at rest, or null when the operator detached. */
export async function followRun(
  view: View,
  { terminal, interrupted }: CommandContext,
  options: FollowOptions,
): Promise<RunRecord | null> {
  const screen = openScreen(terminal, options);
  const watch = watchRun({ view, run: options.run });
  const workers = createWorkerWatch(view, (line) => screen.say(line));
  // While Redis is away a look hangs; Ctrl-C must work then too.
  const detached = new Promise<null>((resolve) => {
    if (interrupted.aborted) resolve(null);
    interrupted.addEventListener('abort', () => resolve(null));
  });
  try {
    for (;;) {
      const seen = await Promise.race([watch.look(), detached]);
      if (seen === null) return null;
      for (const event of seen.events) screen.event(event);
      screen.show(seen);
      if (isEnded(seen.run.status)) return seen.run;
      await Promise.race([workers.check(seen), detached]);
      await sleep(POLL_MS, undefined, { signal: interrupted }).catch(() => {});
    }
  } finally {
    screen.end();
  }
}

export function exitStatusOfRun(run: RunRecord): number {
  switch (run.status) {
    case 'landed':
      return EXIT_LANDED;
    case 'partial':
      return EXIT_PARTIAL;
    case 'failed':
    case 'rolled-back':
    case 'cancelled':
    case 'scheduled':
    case 'held':
    case 'running':
      return EXIT_FAILED;
  }
}

export type RunLook = RunSnapshot & { run: RunRecord; events: readonly StoredEvent[] };

/** Each look reads only what changed since the last one: events name the machines whose records are read again. */
function watchRun({ view: { state }, run: id }: { view: View; run: string }): { look(): Promise<RunLook> } {
  const records = new Map<string, MachineRecord>();
  let lastEvent = '0';
  return {
    async look() {
      const run = await findRun(state, id);
      const events = await Array.fromAsync(state.events.readAll(id, lastEvent));
      lastEvent = events.at(-1)?.id ?? lastEvent;
      const named = events.flatMap((event) =>
        event.type === 'run' || event.machine === null ? [] : [event.machine],
      );
      const stale = records.size === 0 ? run.machines : [...new Set(named)];
      for (const record of await state.machines.all(id, stale)) records.set(record.machine.name, record);
      const machines = run.machines.flatMap((name) => records.get(name) ?? []);
      const [progress, now] = [await state.progress.read(id), await state.clock.now()];
      return { run, events, machines, progress, now };
    },
  };
}

export type Screen = {
  say(line: string): void;
  event(event: StoredEvent): void;
  show(look: RunLook): void;
  end(): void;
};

function openScreen(terminal: Terminal, { json }: FollowOptions): Screen {
  if (json) return openJsonScreen(terminal);
  return terminal.isInteractive ? openLiveScreen(terminal) : openPlainScreen(terminal);
}

function openJsonScreen(terminal: Terminal): Screen {
  const isDue = every(JSON_PROGRESS_MS);
  return {
    say: (line) => terminal.remark(line),
    event: (event) => terminal.json(event),
    show(snapshot) {
      if (!isDue()) return;
      for (const record of snapshot.machines) {
        if (isUnderWay(record.status)) terminal.json({ type: 'progress', ...machineLine(record, snapshot) });
      }
    },
    end() {},
  };
}

function openPlainScreen(terminal: Terminal): Screen {
  const isDue = every(PLAIN_PROGRESS_MS);
  const said = new Map<string, string>();
  let lastReason: string | null = null;
  let remindAt = Number.NEGATIVE_INFINITY;
  return {
    say: (line) => terminal.out(line),
    event(event) {
      const line = describeEvent(event);
      if (line !== null) terminal.out(line);
    },
    show(snapshot) {
      const reason = whyNothingStarts(snapshot.run, snapshot.now);
      // The time that is left changes with every look: said once for each reason, and every ten minutes.
      if (kindOf(reason) !== kindOf(lastReason) || snapshot.now >= remindAt) {
        if (reason !== null) terminal.out(`         ${reason}`);
        remindAt = snapshot.now + REMINDER_MS;
      }
      lastReason = reason;
      if (!isDue()) return;
      for (const record of snapshot.machines) {
        if (!isUnderWay(record.status)) continue;
        const line = describeLine(machineLine(record, snapshot));
        if (said.get(record.machine.name) !== line) terminal.out(`         ${line}`);
        said.set(record.machine.name, line);
      }
    },
    end() {},
  };
}

/** `Waits for its window`: what a reason says before it comes to times. */
function kindOf(reason: string | null): string {
  return reason?.split(':')[0] ?? '';
}

/** Says once when nobody serves the run, or a pool of it. */
function createWorkerWatch(
  { state }: View,
  say: (line: string) => void,
): { check(look: RunLook): Promise<void> } {
  const isDue = every(WORKER_CHECK_MS);
  isDue();
  let lastSaid = '';
  return {
    async check({ run }) {
      if (!isDue()) return;
      const lines = await describeMissing(state, run);
      const text = lines.join('\n');
      if (text !== lastSaid) for (const line of lines) say(line);
      lastSaid = text;
    },
  };
}

async function describeMissing(state: State, run: RunRecord): Promise<string[]> {
  if ((await liveWorkers(state.redis)).length === 0)
    return ['No worker is alive: the run waits. Start one with `landfall up` or `landfall worker`.'];
  const missing = (await findUnserved(state, run.wave.source.site)).map(describeUnserved);
  return missing.map(({ message, remedy }) => `${message}. ${remedy}`);
}

function every(periodMs: number): () => boolean {
  let last = Number.NEGATIVE_INFINITY;
  return () => {
    if (performance.now() - last < periodMs) return false;
    last = performance.now();
    return true;
  };
}
