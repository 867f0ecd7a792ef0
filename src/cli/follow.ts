/** Follows a run until it comes to rest or the operator detaches: redrawn lines, plain lines or NDJSON. */
import { setTimeout as sleep } from 'node:timers/promises';
import { createLogUpdate } from 'log-update';
import type { App } from '../app.ts';
import { EXIT_FAILED, EXIT_LANDED, EXIT_PARTIAL } from '../domain/errors.ts';
import type { StoredEvent } from '../domain/events.ts';
import type { MachineRecord } from '../domain/machine-record.ts';
import type { RunRecord } from '../domain/run-record.ts';
import { findRun } from '../operations/find-run.ts';
import { liveWorkers } from '../state/heartbeats.ts';
import type { CommandContext } from './command-context.ts';
import { describeEvent, describeLine, machineLine, type RunSnapshot, renderMachine } from './run-view.ts';
import type { Terminal } from './terminal.ts';

export type FollowOptions = { run: string; json: boolean };

/** 128 + SIGINT: the operator let go, the run goes on. */
export const EXIT_DETACHED = 130;

const POLL_MS = 250;
const PLAIN_PROGRESS_MS = 5_000;
const JSON_PROGRESS_MS = 1_000;
const WORKER_CHECK_MS = 10_000;

/** Gives the run at rest, or null when the operator detached. */
export async function followRun(
  app: App,
  { terminal, interrupted }: CommandContext,
  options: FollowOptions,
): Promise<RunRecord | null> {
  const screen = openScreen(terminal, options);
  const watch = watchRun({ app, run: options.run });
  const workers = createWorkerWatch(app, (line) => screen.say(line));
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
      if (seen.run.status !== 'running') return seen.run;
      await Promise.race([workers.check(), detached]);
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
    case 'cancelled':
    case 'running':
      return EXIT_FAILED;
  }
}

type RunLook = RunSnapshot & { run: RunRecord; events: readonly StoredEvent[] };

/** Each look reads only what changed since the last one: events name the machines whose records are read again. */
function watchRun({ app: { state }, run: id }: { app: App; run: string }): { look(): Promise<RunLook> } {
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
      return { run, events, machines, progress: await state.progress.read(id), now: Date.now() };
    },
  };
}

type Screen = {
  say(line: string): void;
  event(event: StoredEvent): void;
  show(snapshot: RunSnapshot): void;
  end(): void;
};

function openScreen(terminal: Terminal, { json }: FollowOptions): Screen {
  if (json) return openJsonScreen(terminal);
  return terminal.isInteractive ? openLiveScreen(terminal.columns) : openPlainScreen(terminal);
}

function openJsonScreen(terminal: Terminal): Screen {
  const isDue = every(JSON_PROGRESS_MS);
  return {
    say: (line) => terminal.remark(line),
    event: (event) => terminal.json(event),
    show(snapshot) {
      if (!isDue()) return;
      for (const record of snapshot.machines) {
        if (record.status === 'moving') terminal.json({ type: 'progress', ...machineLine(record, snapshot) });
      }
    },
    end() {},
  };
}

/** One redrawn line per machine; above it only what an operator must not miss. */
function openLiveScreen(columns: number): Screen {
  const live = createLogUpdate(process.stdout);
  return {
    say: (line) => live.persist(line),
    event(event) {
      const line = isRoutine(event) ? null : describeEvent(event);
      if (line !== null) live.persist(line);
    },
    show(snapshot) {
      const width = Math.max(...snapshot.machines.map((record) => record.machine.name.length));
      const lines = snapshot.machines.map((record) =>
        cut(renderMachine(machineLine(record, snapshot), width), columns),
      );
      live(lines.join('\n'));
    },
    end: () => live.done(),
  };
}

/** What the machine's own line shows anyway. */
function isRoutine(event: StoredEvent): boolean {
  switch (event.type) {
    case 'log':
      return event.level === 'info';
    case 'step':
    case 'machine':
      return event.error === null;
    case 'run':
    case 'operator':
      return false;
  }
}

function openPlainScreen(terminal: Terminal): Screen {
  const isDue = every(PLAIN_PROGRESS_MS);
  const said = new Map<string, string>();
  return {
    say: (line) => terminal.out(line),
    event(event) {
      const line = describeEvent(event);
      if (line !== null) terminal.out(line);
    },
    show(snapshot) {
      if (!isDue()) return;
      for (const record of snapshot.machines) {
        if (record.status !== 'moving') continue;
        const line = describeLine(machineLine(record, snapshot));
        if (said.get(record.machine.name) !== line) terminal.out(`         ${line}`);
        said.set(record.machine.name, line);
      }
    },
    end() {},
  };
}

/** Says once when nobody serves the run. */
function createWorkerWatch({ state }: App, say: (line: string) => void): { check(): Promise<void> } {
  const isDue = every(WORKER_CHECK_MS);
  isDue();
  let isMissed = false;
  return {
    async check() {
      if (!isDue()) return;
      const isServed = (await liveWorkers(state.redis)).length > 0;
      if (!isServed && !isMissed)
        say('No worker is alive: the run waits. Start one with `landfall up` or `landfall worker`.');
      isMissed = !isServed;
    },
  };
}

function every(periodMs: number): () => boolean {
  let last = Number.NEGATIVE_INFINITY;
  return () => {
    if (performance.now() - last < periodMs) return false;
    last = performance.now();
    return true;
  };
}

/** A line that wraps would break the redrawing. Colour codes take no columns. */
function cut(line: string, columns: number): string {
  let width = 0;
  let out = '';
  // biome-ignore lint/suspicious/noControlCharactersInRegex: colour codes begin with ESC
  for (const part of line.split(/(\u001b\[\d+m)/)) {
    if (part.startsWith('\u001b')) {
      out += part;
      continue;
    }
    out += part.slice(0, Math.max(0, columns - width));
    width += part.length;
  }
  return out;
}
