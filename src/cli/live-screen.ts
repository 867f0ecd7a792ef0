/** One redrawn line per machine; above it only what an operator must not miss. */
import { stripVTControlCharacters } from 'node:util';
import { createLogUpdate } from 'log-update';
import type { StoredEvent } from '../domain/events.ts';
import { machineLine } from '../operations/machine-line.ts';
import { whyNothingStarts } from '../operations/stands-still.ts';
import type { Screen } from './follow.ts';
import { describeEvent, renderMachine } from './run-view.ts';
import type { Terminal } from './terminal.ts';

const CURSOR_UP_AND_ERASE = '\u001b[1A\u001b[2K';

export function openLiveScreen(terminal: Terminal): Screen {
  const live = createLogUpdate(process.stdout);
  let frame: readonly string[] = [];
  const resized = (): void => {
    live.clear();
    process.stdout.write(CURSOR_UP_AND_ERASE.repeat(rowsAddedByWrapping(frame, terminal.columns)));
    frame = [];
  };
  process.stdout.on('resize', resized);
  terminal.divertRemarks((line) => live.persist(line));
  return {
    say: (line) => live.persist(line),
    event(event) {
      const line = isRoutine(event) ? null : describeEvent(event);
      if (line !== null) live.persist(line);
    },
    show(snapshot) {
      const width = Math.max(...snapshot.machines.map((record) => record.machine.name.length));
      const why = whyNothingStarts(snapshot.run, snapshot.now);
      const lines = snapshot.machines.map((record) => renderMachine(machineLine(record, snapshot), width));
      frame = [...(why === null ? [] : [why]), ...lines].map((line) => cutLine(line, terminal.columns));
      live(frame.join('\n'));
    },
    end() {
      live.done();
      process.stdout.off('resize', resized);
      terminal.divertRemarks(null);
    },
  };
}

/** A terminal that became narrower has wrapped what was drawn: more rows to wipe out than were written. */
export function rowsAddedByWrapping(frame: readonly string[], columns: number): number {
  const rows = frame.map((line) => Math.ceil(stripVTControlCharacters(line).length / columns));
  return rows.reduce((added, row) => added + Math.max(0, row - 1), 0);
}

/** A line that wraps would break the redrawing. Colour codes take no columns. */
export function cutLine(line: string, columns: number): string {
  if (stripVTControlCharacters(line).length <= columns) return line;
  let left = columns - 1;
  let out = '';
  // biome-ignore lint/suspicious/noControlCharactersInRegex: colour codes begin with ESC
  for (const part of line.split(/(\u001b\[\d+m)/)) {
    if (part.startsWith('\u001b')) {
      out += part;
      continue;
    }
    if (left < 0) continue;
    out += part.length > left ? `${part.slice(0, left)}…` : part;
    left = part.length > left ? -1 : left - part.length;
  }
  return out;
}

/** What the machine's own line shows anyway; a failed machine's step has said why. */
function isRoutine(event: StoredEvent): boolean {
  switch (event.type) {
    case 'log':
      return event.level === 'info';
    case 'step':
      return event.error === null;
    case 'machine':
      return true;
    case 'run':
    case 'remark':
    case 'operator':
      return false;
  }
}
