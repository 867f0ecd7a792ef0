/** A run on a terminal, as pure functions: one line per machine with stage, bar, rate and ETA. */
import pc from 'picocolors';
import { formatBytes } from '../domain/byte-size.ts';
import { formatDuration } from '../domain/duration.ts';
import { eventSentence } from '../domain/event-sentence.ts';
import type { StoredEvent } from '../domain/events.ts';
import { formatTime } from '../domain/local-time.ts';
import { isUnderWay, type MachineRecord } from '../domain/machine-record.ts';
import type { MachineLine } from '../operations/machine-line.ts';
import { formatRate } from './format.ts';

const BAR_WIDTH = 24;

export function renderMachine(line: MachineLine, nameWidth: number): string {
  const name = line.machine.padEnd(nameWidth);
  const stage = line.stage.padEnd(9);
  if (!isUnderWay(line.status))
    return `${sign(line.status)} ${name}  ${paintStatus(line.status, stage)} ${line.note}`.trimEnd();
  // Nobody knows how far it is (the cloud imports, a guest boots): the room is the note's.
  if (line.totalBytes === 0) {
    const spent = formatDuration(line.elapsedMs).padStart(7);
    return `${sign(line.status)} ${name}  ${stage} ${spent}${line.note === '' ? '' : `  ${pc.dim(line.note)}`}`;
  }
  const rate = line.bytesPerSecond > 0 ? formatRate(line.bytesPerSecond) : '';
  const time = line.etaMs === null ? formatDuration(line.elapsedMs) : `ETA ${formatDuration(line.etaMs)}`;
  const note = line.note === '' ? '' : `  ${pc.dim(line.note)}`;
  return `${sign(line.status)} ${name}  ${stage} ${bar(line)} ${rate.padStart(9)} ${time.padStart(9)}${note}`;
}

function bar({ doneBytes, totalBytes }: MachineLine): string {
  const fraction = Math.min(1, doneBytes / totalBytes);
  const filled = Math.round(fraction * BAR_WIDTH);
  const percent = `${String(Math.floor(fraction * 100)).padStart(3)}%`;
  return `${pc.cyan('█'.repeat(filled))}${pc.dim('░'.repeat(BAR_WIDTH - filled))} ${percent}`;
}

/** The same without colours and redrawing, for logs: `17:43:01 shop-db upload 58% 120 MiB of 207 MiB, 142 MB/s, ETA 0:12`. */
export function describeLine(line: MachineLine): string {
  const parts: string[] = [];
  if (line.totalBytes > 0) {
    parts.push(
      `${Math.floor((line.doneBytes / line.totalBytes) * 100)}% ${formatBytes(line.doneBytes)} of ${formatBytes(line.totalBytes)}`,
    );
  }
  if (line.zeroBytes > 0) parts.push(`${formatBytes(line.zeroBytes)} zeros left out`);
  if (line.bytesPerSecond > 0) parts.push(formatRate(line.bytesPerSecond));
  if (line.etaMs !== null) parts.push(`ETA ${formatDuration(line.etaMs)}`);
  if (line.note !== '') parts.push(line.note);
  return `${line.machine} ${line.stage} ${parts.join(', ')}`.trimEnd();
}

/** One line for a log; null for events that the machine lines show anyway. */
export function describeEvent(event: StoredEvent, now: number = Date.now()): string | null {
  const sentence = eventSentence(event);
  return sentence === null ? null : `${formatTime(event.at, now)} ${sentence}`;
}

function sign(status: MachineRecord['status']): string {
  switch (status) {
    case 'landed':
      return pc.green('✔');
    case 'failed':
      return pc.red('✖');
    case 'cancelled':
    case 'discarded':
      return pc.yellow('■');
    case 'held':
      return pc.yellow('‖');
    case 'rolling-back':
    case 'rolled-back':
      return pc.yellow('◀');
    case 'moving':
      return pc.cyan('▶');
    case 'blocked':
    case 'waiting':
      return pc.dim('·');
    default:
      return status satisfies never;
  }
}

function paintStatus(status: MachineRecord['status'], text: string): string {
  if (status === 'landed') return pc.green(text);
  return status === 'failed' ? pc.red(text) : text;
}
