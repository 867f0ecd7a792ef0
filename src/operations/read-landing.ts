/** What a landing shows: live while it boots, and then as it is kept with its proof. */
import type { MachineRecord } from '../domain/machine-record.ts';
import type { Evidence } from '../domain/ports.ts';
import { proofPath } from '../stages/proof.ts';
import { CONSOLE_CHARS } from '../state/console-board.ts';
import type { State } from '../state/state.ts';

export type ConsoleText = {
  /** At most 256 Ki characters. A guest wrote it: it is to be shown as text, never as markup. */
  text: string;
  /** Of the first of them; later than what was asked for where what is before is not kept. */
  offset: number;
  /** Ask from here for what comes next. */
  nextOffset: number;
  totalChars: number;
  /** Once it is not, what is kept is told from its beginning: offsets of before mean nothing any more. */
  isLive: boolean;
};

export type LandingReader = { state: State; evidence: Evidence; record: MachineRecord; signal?: AbortSignal };

/** From `offset` on; null: its end. Gives null where nothing was seen of a console, or it is not kept any more. */
export async function readConsole(
  of: LandingReader,
  offset: number | null = null,
): Promise<ConsoleText | null> {
  const { evidence, record, signal } = of;
  const live = isBooting(record) ? await readLive(of) : null;
  if (live !== null)
    return cut(live.text, { from: live.totalChars - live.text.length, offset, isLive: true });
  const kept = await evidence.get(proofPath(record, 'console.txt'), signal);
  if (kept !== null)
    return cut(new TextDecoder().decode(kept), { from: 0, offset, isLive: isBooting(record) });
  // Evidence of workers elsewhere may be a folder that is not seen from here.
  const late = await readLive(of);
  return late === null
    ? null
    : cut(late.text, { from: late.totalChars - late.text.length, offset, isLive: false });
}

/** A PNG; null: there is none, or it is not kept any more. */
export async function readScreenshot(of: LandingReader): Promise<Uint8Array | null> {
  const { state, evidence, record, signal } = of;
  const { run, landing } = record;
  const live =
    landing === null
      ? null
      : await state.consoles.readScreenshot({ run, machine: record.machine.name }, landing.id);
  return live ?? (await evidence.get(proofPath(record, 'screenshot.png'), signal));
}

async function readLive({ state, record: { run, machine, landing } }: LandingReader) {
  const live = await state.consoles.read({ run, machine: machine.name });
  // That of a landing before it tells nothing of this one.
  return live?.landing === landing?.id ? live : null;
}

function isBooting({ status, steps }: MachineRecord): boolean {
  return status === 'moving' && steps.validate?.state === 'active';
}

/** `text` begins at `from` of all that there was. */
function cut(text: string, of: { from: number; offset: number | null; isLive: boolean }): ConsoleText {
  const { from, isLive } = of;
  const totalChars = from + text.length;
  const wanted = of.offset ?? totalChars - CONSOLE_CHARS;
  const offset = Math.min(totalChars, Math.max(from, wanted));
  const shown = text.slice(offset - from, offset - from + CONSOLE_CHARS);
  return { text: shown, offset, nextOffset: offset + shown.length, totalChars, isLive };
}
