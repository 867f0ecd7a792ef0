/** Follows a run until it comes to rest or the operator detaches: redrawn lines, plain lines or NDJSON. */
import { setTimeout as sleep } from 'node:timers/promises';
import { createLogUpdate } from 'log-update';
import type { App } from '../app.ts';
import { EXIT_FAILED, EXIT_LANDED, EXIT_PARTIAL } from '../domain/errors.ts';
import type { RunRecord } from '../domain/run-record.ts';
import { liveWorkers } from '../state/heartbeats.ts';
import type { CommandContext } from './command-context.ts';
import { describeEvent, describeLine, machineLine, type RunSnapshot, renderMachine } from './run-view.ts';

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
  context: CommandContext,
  options: FollowOptions,
): Promise<RunRecord | null> {
  const { state } = app;
  const { terminal, interrupted } = context;
  const screen = openScreen(context, options);
  const workers = createWorkerWatch(app, (line) => screen.say(line));
  let lastEvent = '0';
  try {
    while (!interrupted.aborted) {
      const run = await state.runs.get(options.run);
      if (run === null) return null;
      for (const event of await state.events.read(run.id, lastEvent)) {
        lastEvent = event.id;
        if (options.json) terminal.json(event);
        else if (event.type !== 'log' || event.level !== 'info' || !terminal.isInteractive) {
          const line = describeEvent(event);
          if (line !== null) screen.say(line);
        }
      }
      const machines = await state.machines.all(run.id, run.machines);
      screen.show({ machines, progress: await state.progress.read(run.id), now: Date.now() });
      if (run.status !== 'running') return run;
      await workers.check();
      await sleep(POLL_MS, undefined, { signal: interrupted }).catch(() => {});
    }
    return null;
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

type Screen = { say(line: string): void; show(snapshot: RunSnapshot): void; end(): void };

function openScreen({ terminal }: CommandContext, { json }: FollowOptions): Screen {
  if (json) {
    const isDue = every(JSON_PROGRESS_MS);
    return {
      say: (line) => terminal.remark(line),
      show(snapshot) {
        if (!isDue()) return;
        for (const record of snapshot.machines) {
          if (record.status === 'moving')
            terminal.json({ type: 'progress', ...machineLine(record, snapshot) });
        }
      },
      end() {},
    };
  }
  return terminal.isInteractive
    ? openLiveScreen(terminal.columns)
    : openPlainScreen((line) => terminal.out(line));
}

function openLiveScreen(columns: number): Screen {
  const live = createLogUpdate(process.stdout);
  return {
    say: (line) => live.persist(line),
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

function openPlainScreen(out: (line: string) => void): Screen {
  const isDue = every(PLAIN_PROGRESS_MS);
  const said = new Map<string, string>();
  return {
    say: out,
    show(snapshot) {
      if (!isDue()) return;
      for (const record of snapshot.machines) {
        if (record.status !== 'moving') continue;
        const line = describeLine(machineLine(record, snapshot));
        if (said.get(record.machine.name) !== line) out(`         ${line}`);
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
